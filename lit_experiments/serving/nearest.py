"""The rows whose states point most nearly the same way as one row's. Reads blocks of the store, never all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import StateField
from lit_experiments.serving.states import Floats, layer_pick
from stores import FieldView, Store

Ints = NDArray[np.int64]
BLOCK_BYTES = 16 << 20
MOST = 10


@dataclass(frozen=True)
class Neighbour:
    row: int
    cosine: float


@dataclass(frozen=True)
class Nearest:
    """neighbours: nearest first. searched: rows that were compared; without: rows that have no state (no entries, or
    NaN); of: all rows but the one itself. searched + without is below `of` where the time was up."""

    neighbours: list[Neighbour]
    searched: int
    without: int
    of: int


def nearest_rows(store: Store, row: int, field: StateField, layer: str, seconds: float) -> Nearest | None:
    """By the cosine of states at a layer; a row's state is its last entry along a ragged dim. Stops after `seconds`, at
    the end of a block. None where the row itself has no state."""
    reading = _Reading(store, store.field(field.name), layer_pick(store, field, layer))
    _, state = reading.last_states(np.array([row]))
    if not len(state):
        return None
    best, cosines = np.empty(0, np.int64), np.empty(0)
    searched = without = 0
    until = time.monotonic() + seconds
    for block in reading.view.disk_blocks(BLOCK_BYTES, **reading.pick):
        others = block[block != row]
        rows, states = reading.last_states(others)
        searched, without = searched + len(rows), without + len(others) - len(rows)
        best, cosines = np.append(best, rows), np.append(cosines, states @ state[0])
        top = np.lexsort((best, -cosines))[:MOST]
        best, cosines = best[top], cosines[top]
        if time.monotonic() > until:
            break
    neighbours = [Neighbour(int(number), float(value)) for number, value in zip(best, cosines, strict=True)]
    return Nearest(neighbours, searched, without, len(store) - 1)


@dataclass(frozen=True)
class _Reading:
    """One layer of one field of a store."""

    store: Store
    view: FieldView
    pick: dict[str, Any]

    def last_states(self, rows: Ints) -> tuple[Ints, Floats]:
        """(rows that have a state, the unit vectors [row, hidden] of their last entries)."""
        lengths = self.view.lengths(rows)
        rows, lengths = rows[lengths > 0], lengths[lengths > 0]
        part = self.store.select(rows).field(self.view.field.name)
        states = part.gather(np.cumsum(lengths) - 1, **self.pick).astype(np.float64)
        norms = np.linalg.norm(states, axis=1)
        usable = np.isfinite(norms) & (norms > 0)
        return rows[usable], states[usable] / norms[usable, None]
