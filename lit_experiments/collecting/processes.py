"""Starts one worker process per device and looks after them: signals, failures, progress.

Lightning's own launcher kills the main process when a child ends first, even in an orderly stop, and leaves children
behind when the main process is killed. So the command line starts the workers itself, with the environment variables
that Lightning documents for processes started from outside (LOCAL_RANK and friends).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from lit_experiments.collecting.progress import PIPE_VARIABLE, Sink
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED

SUPERVISED = "LIT_SUPERVISED"
_GRACE = 120.0  # seconds that workers have to finish their batch and commit before they are killed


def is_worker() -> bool:
    """True in a process that was started by `supervise`, SLURM, torchrun or the like."""
    return "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ


def is_main() -> bool:
    """True in the one process that talks to the user and creates the store."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))
    return int(rank) == 0 and SUPERVISED not in os.environ


def supervise(command: Sequence[str], devices: int, threads: int, keep_open: Sequence[int], sink: Sink) -> int:
    """Runs `command` once per device and waits.

    A worker that fails ends the others; a signal to this process is passed on to all.

    Args:
        command: the same for every worker; LOCAL_RANK tells them apart.
        devices: how many workers.
        threads: CPU threads for each.
        keep_open: file descriptors that the workers inherit (the store's lock lives as long as any of them).
        sink: takes the workers' progress.

    Returns:
        0, 75 after a signal, or the exit code of the first worker that failed.
    """
    read_end, write_end = os.pipe()
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0", SUPERVISED: "1"}
    common |= {PIPE_VARIABLE: str(write_end), "OMP_NUM_THREADS": str(threads), "WORLD_SIZE": str(devices)}
    crew = _Crew()
    crew.take_signals()
    try:
        for rank in range(devices):
            env = {**os.environ, **common, "LOCAL_RANK": str(rank)}
            kept = (write_end, *keep_open)
            # A session of its own: Ctrl-C reaches this process only, which passes it on once.
            crew.workers.append(subprocess.Popen(command, env=env, pass_fds=kept, start_new_session=True))
        os.close(write_end)
        listener = threading.Thread(target=_listen, args=(read_end, sink), daemon=True)
        listener.start()
        code = crew.wait()
        listener.join(timeout=5)
        return code
    finally:
        crew.give_back_signals()


class _Crew:
    """The workers of one launch."""

    def __init__(self) -> None:
        self.workers: list[subprocess.Popen[bytes]] = []
        self.signalled = False
        self._deadline: float | None = None
        self._previous: dict[int, object] = {}

    def take_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)

    def give_back_signals(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def wait(self) -> int:
        failed: int | None = None
        while any(w.poll() is None for w in self.workers):
            codes = [w.returncode for w in self.workers if w.returncode]
            if codes and failed is None:
                failed = codes[0]
                self._stop_others()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._send(signal.SIGKILL)
            time.sleep(0.05)
        if failed is not None and not self.signalled:
            return failed if failed > 0 else 128 - failed  # a shell's way to say "killed by signal N"
        return EXIT_STOPPED if any(w.returncode for w in self.workers) else EXIT_DONE

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._send(signal.SIGKILL if self.signalled and number == signal.SIGINT else signal.SIGTERM)
        self.signalled = True
        self._deadline = time.monotonic() + _GRACE

    def _stop_others(self) -> None:
        self._send(signal.SIGTERM)
        self._deadline = time.monotonic() + _GRACE

    def _send(self, number: int) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(number)


def worker_command(argv: Sequence[str]) -> list[str]:
    """The command line that repeats a `lit-experiments` command in a worker."""
    return [sys.executable, "-m", "lit_experiments.cli", *argv]


def _listen(descriptor: int, sink: Sink) -> None:
    with os.fdopen(descriptor) as lines:
        for line in lines:
            sink.advance(*json.loads(line))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
