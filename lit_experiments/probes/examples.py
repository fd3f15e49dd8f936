"""Examples that are entries of a ragged field: tokens of rows, where a row has many. Knows stores; knows no study."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.errors import ProbeError
from stores import Store

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Which entries of which rows are examples, in the caller's order; an entry may come more than once.

    name: how they were chosen, in words; part of a saved probe's fingerprint. row [n]: rows of the store (or of the
    selection). entry [n]: entries within the row, from 0.
    """

    name: str
    row: Ints
    entry: Ints

    def __post_init__(self) -> None:
        row, entry = self.row, self.entry
        if row.ndim != 1 or row.shape != entry.shape or row.dtype != np.int64 or entry.dtype != np.int64:
            raise ProbeError(
                f"Examples take two int64 arrays of one length, found row {row.dtype} {row.shape} and entry "
                f"{entry.dtype} {entry.shape}."
            )

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def content(self) -> bytes:
        """What tells one choice of entries from another."""
        return len(self.row).to_bytes(8, "little") + self.row.tobytes() + self.entry.tobytes()

    def positions(self, lengths: Ints) -> Ints:
        """[n] where the entries lie along the stacking axis of the field, whose rows have `lengths` entries.

        Raises ProbeError for a row or an entry that is not there.
        """
        no_row = np.flatnonzero((self.row < 0) | (self.row >= len(lengths)))
        if len(no_row):
            raise ProbeError(f"Example {no_row[0]} is of row {self.row[no_row[0]]}, and there are {len(lengths)} rows.")
        no_entry = np.flatnonzero((self.entry < 0) | (self.entry >= lengths[self.row]))
        if len(no_entry):
            at = no_entry[0]
            raise ProbeError(
                f"Example {at} is entry {self.entry[at]} of row {self.row[at]}, which has {lengths[self.row[at]]} "
                f"entries (and {len(no_entry) - 1} more such examples)."
            )
        return (np.cumsum(lengths) - lengths)[self.row] + self.entry


def last_entries(store: Store, field: str, back: int = 1) -> Examples:
    """One example per row: its last entry, or the one `back` from the end (1 the last).

    Raises ProbeError if a row has fewer entries than that.
    """
    lengths = store.field(field).lengths()
    short = np.flatnonzero(lengths < back)
    if back < 1 or len(short):
        detail = f"{store.sample_ids[short[0]]} has {lengths[short[0]]}" if len(short) else "1 is the last"
        raise ProbeError(
            f"There is no entry {back} from the end of {field!r} in {len(short)} rows of {store.path}: {detail}. "
            "Ask for one that every row has, or select the rows that have it."
        )
    return Examples(f"entry {back} from the end", np.arange(len(lengths)), lengths - back)


def all_entries(store: Store, field: str) -> Examples:
    """Every entry of every row, row by row."""
    lengths = store.field(field).lengths()
    row = np.repeat(np.arange(len(lengths)), lengths)
    return Examples("every entry", row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths))
