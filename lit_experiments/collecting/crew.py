"""Child processes that are looked after: signals are passed on once, a failure ends the others, none is left behind.

Imports nothing heavy: the command line uses it before it knows whether it needs a model.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED

SUPERVISED = "LIT_SUPERVISED"
_GRACE = 120.0  # seconds that children have to finish their batch and commit before they are killed


def is_worker() -> bool:
    """True in a process that was started by `supervise`, SLURM, torchrun or the like."""
    return "LOCAL_RANK" in os.environ or "SLURM_PROCID" in os.environ


def is_main() -> bool:
    """True in the one process that talks to the user and creates the store."""
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0")))
    return int(rank) == 0 and SUPERVISED not in os.environ


def worker_command(argv: Sequence[str]) -> list[str]:
    """The command line that repeats a `lit-experiments` command in a worker."""
    return [sys.executable, "-m", "lit_experiments.cli", *argv]


def run_child(command: Sequence[str]) -> int:
    """Runs one command to its end, passing signals on; returns its exit code."""
    crew = Crew()
    crew.take_signals()
    try:
        crew.start(command, dict(os.environ), ())
        return crew.wait()
    finally:
        crew.give_back_signals()


class Crew:
    """The children of one launch."""

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

    def start(self, command: Sequence[str], env: dict[str, str], keep_open: Sequence[int]) -> None:
        """Adds a child. It has a session of its own, so that Ctrl-C reaches this process only, which passes it on."""
        self.workers.append(subprocess.Popen(command, env=env, pass_fds=keep_open, start_new_session=True))

    def wait(self) -> int:
        """Waits for all; returns 0, 75 after a signal, or the code of the first child that failed."""
        failed = EXIT_DONE
        while any(w.poll() is None for w in self.workers):
            codes = [w.returncode for w in self.workers if w.returncode]
            if codes and failed == EXIT_DONE:
                failed = codes[0]
                self._stop_others()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._send(signal.SIGKILL)
            time.sleep(0.05)
        codes = [c for w in self.workers if (c := w.wait()) not in (EXIT_DONE, EXIT_STOPPED)]
        if codes and not self.signalled:
            first = failed if failed in codes else codes[0]
            return first if first > 0 else 128 - first  # a shell's way to say "killed by signal N"
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
