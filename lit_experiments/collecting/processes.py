"""Starts one worker process per device and looks after them: signals, failures, progress.

Lightning's own launcher kills the main process when a child ends first, even in an orderly stop, and leaves children
behind when the main process is killed. So the command line starts the workers itself, with the environment variables
that Lightning documents for processes started from outside (LOCAL_RANK and friends).
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Sequence

import stores
from lit_experiments.collecting.crew import SUPERVISED, Crew
from lit_experiments.collecting.progress import PIPE_VARIABLE, Sink

LAUNCH_VARIABLE = "LIT_LAUNCH"  # one name for the parts of all workers of a launch


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
    common |= {LAUNCH_VARIABLE: stores.new_launch_name()}
    common |= {PIPE_VARIABLE: str(write_end), "OMP_NUM_THREADS": str(threads), "WORLD_SIZE": str(devices)}
    crew = Crew()
    crew.take_signals()
    try:
        for rank in range(devices):
            env = {**os.environ, **common, "LOCAL_RANK": str(rank)}
            kept = (write_end, *keep_open)
            crew.start(command, env, kept)
        os.close(write_end)
        listener = threading.Thread(target=_listen, args=(read_end, sink), daemon=True)
        listener.start()
        code = crew.wait()
        listener.join(timeout=5)
        return code
    finally:
        crew.give_back_signals()


def _listen(descriptor: int, sink: Sink) -> None:
    with os.fdopen(descriptor) as lines:
        for line in lines:
            sink.advance(*json.loads(line))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
