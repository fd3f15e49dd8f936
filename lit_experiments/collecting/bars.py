"""Progress on standard error: a bar where there is a terminal, one line a minute where there is none.

Knows nothing of what is counted; `Steps` is the plain case, `progress.ProgressBar` that of a collection.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

_LINE_EVERY = 60.0  # seconds between lines when there is no terminal


class Bar:
    """Bars that are shown while a block runs. columns: further ones, before the time that is left."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self._console = Console(stderr=True)
        usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*usual, *columns, TimeRemainingColumn(), console=self._console, transient=True)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def _show(self, task: Any, line: Callable[[], str], **shown: Any) -> None:
        """Updates one of the bars; without a terminal writes `line()`, if the last one was a minute ago."""
        if self._console.is_terminal:
            self._bar.update(task, **shown)
        elif time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            sys.stderr.write(line() + "\n")
            sys.stderr.flush()


class Steps(Bar):
    """One bar over all steps. verb: what is being done; done: steps of an earlier start."""

    def __init__(self, verb: str, total: int, done: int = 0) -> None:
        super().__init__()
        self.verb, self.total, self.done = verb, total, done
        self._task = self._bar.add_task(verb, total=total, completed=done)

    def advance(self, where: str, steps: int) -> None:
        """Counts steps done, and says where."""
        self.done += steps
        line = f"{self.verb} {self.done}/{self.total} ({where})"
        self._show(self._task, lambda: line, completed=self.done, description=f"{self.verb} {where}")
