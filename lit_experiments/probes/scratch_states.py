"""States that are computed once and read layer by layer, in a file that goes when they have served.

Owns the file, and how its rows become a data set for probes. Does not know: where the states come from.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.data import BlockDataModule

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]


class ScratchStates:
    """[entry, layer, hidden] float32 in a file, one layer behind the other. Another process that asks for the same path
    and shape reads what the first one wrote.

    Not memory-mapped: pages of a mapping count as this process's memory, and those of a plain file are the system's.
    """

    def __init__(self, path: Path, entries: int, layers: Sequence[str], hidden: int) -> None:
        self.path, self.entries, self.layers, self.hidden = path, entries, list(layers), hidden

    @property
    def nbytes(self) -> int:
        """Of the whole file."""
        return self.entries * len(self.layers) * self.hidden * 4

    def exist(self) -> bool:
        """Whether the file is whole."""
        return self.path.is_file() and self.path.stat().st_size == self.nbytes

    def write(self, pieces: Iterable[tuple[Ints, Floats32]]) -> None:
        """Make the file, which appears when it is whole. pieces: (entries, their states [entry, layer, hidden])."""
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with draft.open("wb") as file:
            file.truncate(self.nbytes)
            for entries, states in pieces:
                order = np.argsort(entries, kind="stable")
                for layer in range(len(self.layers)):
                    for start, stop in _runs(entries[order]):
                        file.seek(self._place(layer, int(entries[order[start]])))
                        file.write(states[order[start:stop], layer].astype(np.float32).tobytes())
        draft.replace(self.path)

    def read(self, entries: Ints, layers: Sequence[int]) -> Floats32:
        """[entry, layer, hidden] of these entries, in any order, and of layers by position."""
        order = np.argsort(entries, kind="stable")
        out = np.empty((len(entries), len(layers), self.hidden), np.float32)
        rows = np.empty((len(entries), self.hidden), np.float32)
        with self.path.open("rb", buffering=0) as file:
            for place, layer in enumerate(layers):
                for start, stop in _runs(entries[order]):
                    file.seek(self._place(layer, int(entries[order[start]])))
                    _fill(file, rows[start:stop])
                out[order, place] = rows
        return out

    def forget(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _place(self, layer: int, entry: int) -> int:
        return (layer * self.entries + entry) * self.hidden * 4


@dataclass(frozen=True, eq=False)
class ScratchRows:
    """Some entries of states, in an order."""

    states: ScratchStates
    entries: Ints

    def by_layer(self, layers: Sequence[str] | None = None) -> Iterator[Floats32]:
        """[row, hidden] of one layer after another, all or those of these names."""
        for place, name in enumerate(self.states.layers):
            if layers is None or name in layers:
                yield self.states.read(self.entries, [place])[:, 0]

    def __getitem__(self, rows: NDArray) -> ScratchRows:
        """Some of them."""
        return ScratchRows(self.states, self.entries[rows])


def _runs(entries: Ints) -> list[tuple[int, int]]:
    """(start, stop) of places whose sorted entries follow one another."""
    if not len(entries):
        return []
    edges = [0, *(np.flatnonzero(np.diff(entries) != 1) + 1).tolist(), len(entries)]
    return list(itertools.pairwise(edges))


def _fill(file: Any, rows: Floats32) -> None:
    """Read all of `rows` [n, hidden], which lie together: a raw file may give less than is asked for."""
    left = memoryview(rows.data).cast("B")
    while left:
        count = file.readinto(left)
        if not count:
            raise OSError(f"{file.name} ends too early.")
        left = left[count:]


class ScratchDataModule(BlockDataModule):
    """Entries of `ScratchStates` as rows for probes.

    rows: which. y: [row, target]; groups: [row]; targets: names. layers: names, of those that the
    states hold, None for all. The other arguments are `BlockDataModule`'s.
    """

    def __init__(
        self,
        rows: ScratchRows,
        y: ArrayLike,
        groups: Sequence | NDArray,
        targets: list[str],
        *,
        layers: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.states, self.entries, self._y = rows.states, rows.entries, np.asarray(y, np.float64)
        self.layers = list(rows.states.layers if layers is None else layers)
        self.groups, self.real_targets = np.asarray(groups), targets
        self._places = [self.states.layers.index(name) for name in self.layers]

    def describe(self) -> None:
        """The file's name tells its content."""
        self.hidden = self.states.hidden
        self.order = np.argsort(self.entries, kind="stable")
        content = self.states.path.name.encode() + self.entries.tobytes() + np.ascontiguousarray(self._y).tobytes()
        self.content = hashlib.sha256(content).hexdigest()
        self.fingerprint = {"states": self.content}

    def feature_dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    def read_x(self, rows: Ints) -> Floats32:
        return self.states.read(self.entries[rows], self._places)

    def read_layers(self, rows: Ints, layers: list[int]) -> Floats32:
        return self.states.read(self.entries[rows], [self._places[layer] for layer in layers])

    def read_y(self, rows: Ints) -> NDArray[np.float64]:
        return self._y[rows]
