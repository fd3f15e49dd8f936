"""What a person sees while an analysis runs the model: one bar over all steps, with time left.

Without a terminal there is one line a minute. Knows nothing of what the steps are.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY = 60.0  # seconds between lines when there is no terminal


class Steps:
    """Shows progress on standard error; a context manager. total: steps in all; done: those of an earlier start."""

    def __init__(self, verb: str, total: int, done: int = 0) -> None:
        self.verb, self.total, self.done = verb, total, done
        self._last_line = time.monotonic()
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(verb, total=total, completed=done)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def advance(self, where: str, steps: int) -> None:
        """Counts steps done, and says where."""
        self.done += steps
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self.done, description=f"{self.verb} {where}")
        elif time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            sys.stderr.write(f"{self.verb} {self.done}/{self.total} ({where})\n")
            sys.stderr.flush()
