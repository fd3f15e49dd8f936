"""Which samples have a row in a store, a window at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.samples import Columns, Ints, Sample, windows
from stores import Store

if TYPE_CHECKING:
    import pyarrow as pa


def committed(store: Store, samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """[sample] whether the store has its row."""
    done = np.zeros(len(samples), bool)
    for places, _ in committed_rows(store, samples, []):
        done[places] = True
    return done


def committed_pieces(store: Store, samples: Sequence[Sample]) -> dict[int, NDArray[np.bool_]]:
    """[sample] whether each piece of the store (see `Store.in_pieces`) has its row."""
    return {number: committed(piece, samples) for number, piece in store.in_pieces().items()}


def committed_rows(store: Store, samples: Sequence[Sample], columns: list[str]) -> Iterator[tuple[Ints, pa.Table]]:
    """(places of samples, these columns of their rows), some at a time.

    Rows belong to samples by their ids. They are looked for among those of the samples' indexes; if then some row of
    the store has no sample, also among all rows.
    """
    done = np.zeros(len(samples), bool)
    for start, window in windows(samples):
        near = store.with_indexes(int(window.indexes.min()), int(window.indexes.max()))
        places, rows = _matches(near, window, np.arange(len(window.ids)), columns)
        done[start + places] = True
        yield start + places, rows
    if int(done.sum()) == len(store):
        return
    for start, window in windows(samples):
        left = np.flatnonzero(~done[start : start + len(window.ids)])
        if len(left):
            places, rows = _matches(store, window, left, columns)
            yield start + places, rows


def _matches(store: Store, window: Columns, places: Ints, columns: list[str]) -> tuple[Ints, pa.Table]:
    """Places in the window that have a row, of those named, and columns of their rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = store.table(["sample_id", *columns])
    ids = pa.array([window.ids[place] for place in places.tolist()], pa.string())
    row = pc.index_in(ids, value_set=table.column("sample_id"))
    matched = pc.is_valid(row).to_numpy(zero_copy_only=False)
    return places[matched], table.take(row.filter(row.is_valid())).select(columns)
