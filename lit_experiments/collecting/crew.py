"""Child processes that are looked after: signals are passed on once, a failure ends the others, none is left behind.

Imports nothing heavy: the command line uses it before it knows whether it needs a model.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from lit_experiments.collecting.forked import ForkedChild
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED
from lit_experiments.signals import LIFELINE, StopSignal, held_back, stop_signal

_GRACE = 120.0  # seconds that children have to finish their batch and commit before they are killed
_GRACE_AFTER_FAILURE = 20.0  # ... when one of them has failed: nobody would wait longer for the rest


def worker_command(argv: Sequence[str]) -> list[str]:
    """The command line that repeats a `lit-experiments` command in a worker."""
    return [sys.executable, "-m", "lit_experiments.cli", *argv]


def run_one(start: Callable[[Crew], None]) -> int:
    """Waits for the one child that `start` starts, passing signals on.

    Returns:
        Its exit code; 75 if a signal came, however the child ended.
    """
    crew = Crew()
    crew.take_signals()
    try:
        with held_back():
            start(crew)
        code = crew.wait()
        return EXIT_STOPPED if crew.stop.name is not None else code
    finally:
        crew.give_back_signals()


class Child(Protocol):
    """A started process; `subprocess.Popen` is one."""

    returncode: int | None

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def send_signal(self, number: int) -> None: ...


@dataclass(frozen=True)
class Output:
    """Numbers of the open files that a child's standard output and error go to."""

    stdout: int
    stderr: int


class Crew:
    """The children of one launch.

    Each holds one end of a pipe whose other end only this process has: when this process dies, however it dies, the
    system closes the pipe, and they stop (`signals.StopSignal`).

    Attributes:
        workers: in the order in which they were started.
        stop: the signals that came to this process.
        killed: whether some had to be killed, for they did not stop in time or Ctrl-C came twice.
    """

    def __init__(self) -> None:
        self.workers: list[Child] = []
        self.stop = StopSignal()
        self.killed = False
        self._signals = ExitStack()
        self._deadline: float | None = None
        self._lifeline, self._held_end = os.pipe()

    def take_signals(self) -> None:
        """From now on signals are remembered, for `wait` to pass them on."""
        self.stop = self._signals.enter_context(stop_signal())
        self._signals.enter_context(self.stop.passed_on())

    def give_back_signals(self) -> None:
        """Ends what `take_signals` began."""
        self._signals.close()

    def start(
        self, command: Sequence[str], env: dict[str, str], keep_open: Sequence[int], output: Output | None = None
    ) -> None:
        """Adds a child. It has a session of its own, so that Ctrl-C reaches this process only, which passes it on.

        output: where its words go; None: where this process's go.
        """
        kept = (self._lifeline, *keep_open)
        env = {**env, LIFELINE: str(self._lifeline)}
        stdout, stderr = (None, None) if output is None else (output.stdout, output.stderr)
        self.workers.append(
            subprocess.Popen(command, env=env, pass_fds=kept, start_new_session=True, stdout=stdout, stderr=stderr)
        )

    def fork(self, action: Callable[[], object], env: dict[str, str], output: Output | None = None) -> None:
        """Adds a child that goes on from where this process is; otherwise like one that was started."""
        os.set_inheritable(self._lifeline, True)  # should it go on as another program
        files = {} if output is None else {1: output.stdout, 2: output.stderr}
        self.workers.append(ForkedChild(action, {**env, LIFELINE: str(self._lifeline)}, [self._held_end], files))

    def wait(self, tend: Callable[[], object] = lambda: None) -> int:
        """Waits for all; returns 0, 75 after a signal, or the code of the first child that failed.

        tend: called again and again in between; may add children for as long as `may_go_on`.
        """
        try:
            failed = self._watch(tend)
        finally:
            os.close(self._held_end)
            os.close(self._lifeline)
        codes = [w.wait() for w in self.workers]
        if failed is None or self.stop.name is not None:
            return EXIT_STOPPED if any(codes) else EXIT_DONE
        return failed if failed > 0 else 128 - failed  # a shell's way to say "killed by signal N"

    def may_go_on(self) -> bool:
        """Whether no signal came and no child has failed so far."""
        return self.stop.name is None and not any(worker.returncode for worker in self.workers)

    def _watch(self, tend: Callable[[], object]) -> int | None:
        """Returns the code of the first child that failed, when none is left."""
        failed, interrupts, stopping = None, 0, False
        while running := self._running(tend):
            if not stopping and self.stop.name is not None:
                stopping = self._end(signal.SIGTERM, _GRACE)
            ended = [w.returncode for w in self.workers if w.returncode]
            if not stopping and ended:
                stopping = self._end(signal.SIGTERM, _GRACE_AFTER_FAILURE)
            failed = failed or next((code for code in ended if code != EXIT_STOPPED), None)
            if self.stop.interrupts > max(interrupts, 1) or time.monotonic() > (self._deadline or float("inf")):
                interrupts = self.stop.interrupts
                self.killed = True
                self._send(signal.SIGKILL, running)
            time.sleep(0.05)
        return failed or next((w.returncode for w in self.workers if w.returncode not in (0, EXIT_STOPPED)), None)

    def _running(self, tend: Callable[[], object]) -> list[Child]:
        for worker in self.workers:
            worker.poll()
        tend()
        return [worker for worker in self.workers if worker.poll() is None]

    def _end(self, number: int, grace: float) -> bool:
        self._send(number, self.workers)
        self._deadline = time.monotonic() + grace
        return True

    @staticmethod
    def _send(number: int, workers: Sequence[Child]) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)
