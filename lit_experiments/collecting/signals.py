"""SIGINT and SIGTERM ask the run to stop at the next step; a second SIGINT stops it at once.

Lightning's predict loop does not look at SIGTERM, so the check is ours. When a stage starts, Lightning puts its own
handler over SIGTERM, which broadcasts between processes and can hang; so `install` is called again in the loop.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from lit_experiments.errors import Stopped


class StopSignal:
    """Remembers that the process was asked to stop, and raises `Stopped` where it is safe to."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._parent = os.getppid()
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Takes over SIGINT and SIGTERM (main thread only: elsewhere signals are the host program's business)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, self._handle)
            self._previous.setdefault(number, previous)

    def restore(self) -> None:
        """Puts back the handlers found by the first `install`."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def check(self) -> None:
        """Raises `Stopped` after a signal, or when the process that started this one is gone."""
        if self.name is None and "LIT_SUPERVISED" in os.environ and os.getppid() != self._parent:
            self.name = "the end of its parent process"
        if self.name is not None:
            raise Stopped(f"by {self.name}. Everything complete is committed; the same command goes on from here.")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name
