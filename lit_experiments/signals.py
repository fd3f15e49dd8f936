"""SIGINT and SIGTERM, and the end of the process that started this one: the process stops in good order, with code 75.

Most of a command has nothing to lose: there a signal raises at once, wherever the program is. A loop that commits asks
for signals to be remembered and looks at them where it is safe. A second Ctrl-C ends the process on the spot. At first,
and for programs that use this package as a library, signals are remembered.

Python runs its handlers between two steps of the main thread, so a long call into C (an import, a rendezvous of
processes) would hold a signal up for as long as it lasts. A thread that the system wakes ends the process then.
Imports nothing heavy: it is the first that a command does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lit_experiments.errors import EXIT_STOPPED, Stopped
from lit_experiments.launch import report_end

LIFELINE = "LIT_LIFELINE_FD"  # a pipe of which the parent holds the other end for as long as it lives
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_UNHEARD = 3.0  # seconds that the main thread has to notice a signal before the process is ended without it
_ORPHANED = 60.0  # seconds that a process without its parent has to commit what it holds
_CURSOR = b"\x1b[?25h"  # shows it again: a progress bar may have hidden it


class StopNow(BaseException):
    """Raised by the signal handler wherever the program is; no `except Exception` of a library can swallow it."""

    exit_code = EXIT_STOPPED


class StopSignal:
    """What this process was asked for; a context manager. Use `stop_signal` to get the one of this process.

    Attributes:
        name: the first signal that came, or what stood for one; None while there was none.
        interrupts: how often Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.interrupts = 0
        self._remembers = True  # what was held back comes before there is anyone to catch it
        self._supervises = False
        self._raised = False
        self._previous: dict[int, object] = {}
        self._wake: tuple[int, int] | None = None
        self._wakeup_before = -1
        self._hook_before = sys.unraisablehook
        self._ended = threading.Event()

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is not threading.main_thread():
            return self  # elsewhere signals are the host program's business
        self.install()
        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        self._hook_before, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        self._wakeup_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        _in_thread(self._watch_signals, self._wake[0])
        if LIFELINE in os.environ:
            _in_thread(self._watch_lifeline, int(os.environ[LIFELINE]))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # held back until there was a handler
        elif "TORCHELASTIC_RUN_ID" in os.environ:
            _in_thread(self._watch_parent, os.getppid())
        return self

    def __exit__(self, *_: object) -> None:
        self._remembers = True
        self._ended.set()
        if self._wake is not None:
            signal.set_wakeup_fd(self._wakeup_before)
            sys.unraisablehook = self._hook_before
            os.close(self._wake[1])
            self._wake = None
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def leave_to_parent(self) -> None:
        """In a forked child: the pipe is closed, and handlers are what they were before the parent's."""
        signal.set_wakeup_fd(-1)
        sys.unraisablehook = self._hook_before
        for descriptor in self._wake or ():
            os.close(descriptor)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def install(self) -> None:
        """Takes SIGINT and SIGTERM; again after a library has put its own handler there."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            previous = signal.signal(number, self._handle)
            self._previous.setdefault(number, previous)

    def remember(self) -> None:
        """From now on signals are remembered, for `check`. Raises `Stopped` if one has come already."""
        self._remembers = True
        self.check()

    def raise_at_once(self) -> None:
        """From now on a signal raises wherever the program is; one that is remembered does not."""
        self._remembers = False

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """While the block runs, signals are remembered, and a second Ctrl-C too: whoever supervises passes them on."""
        self._supervises = True
        try:
            yield
        finally:
            self._supervises = False

    def check(self) -> None:
        """Raises `Stopped` after a signal, or when the process that started this one is gone."""
        if self.name is not None:
            raise Stopped(self.words)

    @property
    def words(self) -> str:
        """What to tell the user."""
        return f"by {self.name}. Everything complete is committed; the same command goes on from here."

    def leave(self) -> None:
        """Ends the process on the spot, with code 75."""
        if not report_end(EXIT_STOPPED, self.words):
            cursor = _CURSOR if os.isatty(2) else b""
            os.write(2, cursor + f"stopped: {self.words}\n".encode())
        os._exit(EXIT_STOPPED)

    def settle(self) -> None:
        """From now on signals are ignored: the command has ended, and its exit code stands."""
        self._remembers = True
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.name is None:
            self.name = signal.Signals(number).name
            report_end(EXIT_STOPPED, self.words)  # before a worker that misses this one says that it failed
        self.interrupts += number == signal.SIGINT
        if self._supervises:
            return
        if self.interrupts > 1:
            self.leave()
        if not self._remembers and not self._raised:
            self._raised = True
            raise StopNow

    def _on_unraisable(self, event: sys.UnraisableHookArgs) -> None:
        """A StopNow that came inside of a destructor is lost there; the thread below ends the process instead."""
        if event.exc_type is not StopNow:
            self._hook_before(event)

    def _watch_signals(self, pipe: int) -> None:
        """The system writes the number of each signal into the pipe, whatever the main thread does."""
        while number := os.read(pipe, 1):
            if number[0] not in _SIGNALS or self._remembers or self._supervises:
                continue
            if not self._ended.wait(_UNHEARD) and not self._remembers:
                self.name = self.name or signal.Signals(number[0]).name
                self.leave()
        os.close(pipe)

    def _watch_lifeline(self, pipe: int) -> None:
        while os.read(pipe, 1):
            pass
        self._orphaned()

    def _watch_parent(self, parent: int) -> None:
        """For starters that hand no pipe on."""
        while not self._ended.wait(0.5):
            if os.getppid() != parent:
                self._orphaned()

    def _orphaned(self) -> None:
        """Stops this process as SIGTERM would; ends it if it does not stop."""
        if self._ended.is_set():
            return
        self.name = "the end of its parent process"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        if not self._ended.wait(_ORPHANED):
            self.leave()


_active: StopSignal | None = None


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """The StopSignal of this process; one for the duration of the block where there is none yet."""
    global _active
    if _active is not None:
        yield _active
        return
    with StopSignal() as _active:
        try:
            yield _active
        finally:
            _active = None


def begin_anew() -> None:
    """In a forked child: no signal has come to it, and nobody has taken any."""
    global _active
    if _active is not None:
        _active.leave_to_parent()
        _active = None


def take_again() -> None:
    """Puts the handlers back where a library has put its own over them."""
    if _active is not None:
        _active.install()


@contextmanager
def held_back() -> Iterator[None]:
    """What is started in the block gets its signals when its own StopSignal takes them, however long its start is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_thread(target: Callable[[int], None], argument: int) -> None:
    threading.Thread(target=target, args=(argument,), name=target.__name__.strip("_"), daemon=True).start()
