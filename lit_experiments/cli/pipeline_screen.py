"""What the steps of a pipeline say, in the pipeline's order, whichever of them run at the same time.

The first step that has not ended writes to the screen itself, or is read out as it goes; what the others say waits in
files until it is their turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from lit_experiments.cli.verbs import say
from lit_experiments.collecting.crew import Output


class Screen:
    """The words of a pipeline's steps.

    Args:
        titles: the line above each step's words.
        notes: place -> what is said instead of a step that does not run.
        folder: for what waits.
    """

    def __init__(self, titles: Sequence[str], notes: Mapping[int, str], folder: Path) -> None:
        self._titles, self._notes, self._folder = titles, notes, folder
        self._turn = 0
        self._titled = False
        self._begun: set[int] = set()
        self._waiting: dict[int, _Waiting] = {}

    def begin(self, place: int) -> Output | None:
        """Where the words of a step go that starts now; None: straight to the screen."""
        self._begun.add(place)
        if place == self._turn:
            self._title()
            return None
        self._waiting[place] = _Waiting(self._folder, place)
        return self._waiting[place].output

    def show(self, ended: Collection[int]) -> None:
        """Reads out what came meanwhile. ended: places of the steps that say no more."""
        while self._turn < len(self._titles):
            if self._turn not in self._begun and self._turn not in self._notes:
                return
            self._say()
            if self._turn not in ended and self._turn not in self._notes:
                return
            self._next()

    def show_rest(self) -> None:
        """Reads out everything that was said by steps whose turn has not come: no step says any more."""
        while self._turn < len(self._titles):
            if self._turn in self._begun:
                self._say()
            self._next()

    def _say(self) -> None:
        self._title()
        if self._turn in self._notes:
            say(self._notes[self._turn])
        if self._turn in self._waiting:
            self._waiting[self._turn].read_out()

    def _title(self) -> None:
        if not self._titled:
            say(self._titles[self._turn])
            self._titled = True

    def _next(self) -> None:
        if self._turn in self._waiting:
            self._waiting.pop(self._turn).close()
        self._turn += 1
        self._titled = False


class _Waiting:
    """Files that take the words of one step: one for each stream, or one for both where they go to the same place."""

    def __init__(self, folder: Path, place: int) -> None:
        streams = [sys.stdout] if _is_one_place() else [sys.stdout, sys.stderr]
        paths = [folder / f"{place}-{number}.txt" for number in range(len(streams))]
        self._files = [path.open("ab") for path in paths]
        self._readers: list[tuple[TextIO, TextIO]] = [
            (path.open(encoding="utf-8", errors="replace", newline=""), stream)
            for path, stream in zip(paths, streams, strict=True)
        ]
        self.output = Output(self._files[0].fileno(), self._files[-1].fileno())

    def read_out(self) -> None:
        for reader, stream in self._readers:
            stream.write(reader.read())
            stream.flush()

    def close(self) -> None:
        for file in self._files:
            file.close()
        for reader, _ in self._readers:
            reader.close()


def _is_one_place() -> bool:
    return os.path.sameopenfile(1, 2)
