"""Starts one worker process per device and looks after them: signals, failures, progress.

Lightning's own launcher kills the main process when a child ends first, even in an orderly stop, and leaves children
behind when the main process is killed. So the command line starts the workers itself, with the environment variables
that PyTorch documents for processes started from outside (RANK and friends).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

import torch

import stores
from lit_experiments.collecting.crew import Crew
from lit_experiments.collecting.progress import Sink
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER, RunFailed, Stopped, UserError
from lit_experiments.launch import PIPE_VARIABLE, SUPERVISED
from lit_experiments.signals import held_back

LAUNCH_VARIABLE = "LIT_LAUNCH"  # one name for the parts of all workers of a launch
# What other starters leave in the environment: a worker would take part in their rendezvous, or be counted by them.
_FOREIGN = ("TORCHELASTIC_", "SLURM_PROCID", "SLURM_LOCALID", "GROUP_RANK", "ROLE_RANK", "OMPI_COMM_WORLD_")
_SAFE = "What is committed is safe."


class _End(NamedTuple):
    """Why a worker ended, in its own words."""

    rank: int
    code: int
    message: str


def supervise(
    command: Sequence[str],
    trainer: dict[str, object],
    keep_open: Sequence[int],
    sink: Sink | None,
    launch: str | None = None,
) -> None:
    """Runs `command` once per device and waits.

    A worker that fails ends the others; a signal to this process is passed on to all.

    Args:
        command: the same for every worker; RANK tells them apart.
        trainer: arguments of the Trainer; says how many workers, and on what.
        keep_open: file descriptors that the workers inherit (the store's lock lives as long as any of them).
        sink: takes the workers' progress.
        launch: names what this launch writes; a new name where none is given.

    Raises:
        Stopped: after a signal, to this process or to a worker.
        RunFailed, UserError: a worker failed; the message names it and holds its own.
    """
    devices = int(str(trainer["devices"]))
    read_end, write_end = os.pipe()
    env = _environment(devices, str(trainer.get("accelerator")), write_end, launch or stores.new_launch_name())
    ends: list[_End] = []
    crew = Crew()
    crew.take_signals()
    try:
        with held_back():
            for rank in range(devices):
                crew.start(command, env | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, (write_end, *keep_open))
        os.close(write_end)
        listener = threading.Thread(target=_listen, args=(read_end, sink, ends), daemon=True)
        listener.start()
        code = crew.wait()
        listener.join(timeout=5)
    finally:
        crew.give_back_signals()
    _raise_outcome(code, crew, ends)


def _environment(devices: int, accelerator: str, report: int, launch: str) -> dict[str, str]:
    """What all workers of a launch are told."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    common: dict[str, object] = {"WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices, "NODE_RANK": 0}
    common |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": _free_port(),
        "OMP_NUM_THREADS": _threads(devices, accelerator),
    }
    common |= {SUPERVISED: 1, LAUNCH_VARIABLE: launch, PIPE_VARIABLE: report}
    return inherited | {key: str(value) for key, value in common.items()}


def _threads(devices: int, accelerator: str) -> int:
    """CPU threads of a worker: all of them share the cores where the cores are the devices."""
    on_cpu = not torch.cuda.is_available() or accelerator == "cpu"
    return max(1, torch.get_num_threads() // devices) if on_cpu else torch.get_num_threads()


def _raise_outcome(code: int, crew: Crew, ends: list[_End]) -> None:
    """Says in one message how the launch ended, from the worker that ended first: the others only follow it."""
    if code == EXIT_DONE:
        return
    crew.stop.check()
    # Whoever ended without a word was the first: the others had the time to say why. But a library aborts its process
    # when another one is gone.
    speakers = {end.rank for end in ends}
    codes = [(rank, w.returncode) for rank, w in enumerate(crew.workers) if w.returncode and rank not in speakers]
    silent = [(rank, c) for rank, c in codes if not crew.killed and (c != -signal.SIGABRT or not ends)]
    if silent:
        raise RunFailed(f"rank {silent[0][0]} of {len(crew.workers)} {_died(silent[0][1])} {_SAFE}")
    if not ends:
        raise RunFailed(f"the workers ended with code {code}. {_SAFE}")
    first = ends[0]
    if first.code == EXIT_STOPPED:
        raise Stopped(f"rank {first.rank} of {len(crew.workers)} was stopped {first.message}")
    if first.code == EXIT_USER:
        raise UserError(first.message)
    raise RunFailed(f"rank {first.rank} of {len(crew.workers)}: {first.message}\n{_SAFE}")


def _died(code: int) -> str:
    if code > 0:
        return f"ended with code {code} and said nothing."
    hint = " The system does that when memory runs out." if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}.{hint}"


def _listen(descriptor: int, sink: Sink | None, ends: list[_End]) -> None:
    with os.fdopen(descriptor) as lines:
        for line in lines:
            report = json.loads(line)
            if isinstance(report, dict):
                ends.append(_End(**report))
            elif sink is not None:
                sink.advance(*report)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
