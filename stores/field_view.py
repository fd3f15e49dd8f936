"""One field over the rows of a store, read lazily: by rows, by position, by numpy-style slices, or in blocks. Read
only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoding import apply_exponents
from .errors import SelectionError
from .gather import Pick, Places, gather
from .row_index import RowIndex, stacked
from .schema import Field, nearest
from .selection import as_pick, as_rows, blocks, chosen_rows, split_key

Array = NDArray[Any]
Ints = NDArray[np.int64]
_ITER_BYTES = 16 << 20


class FieldView:
    """A field of a Store or of a selection of its rows, in the rows' order.

    Axes are those of `field.dims`; the stacking axis runs over the rows' entries one after the other. float16 fields
    come back as float32 with exponents applied, bfloat16 as float32; `raw=True` gives the stored numbers (float16,
    uint16) instead.
    """

    def __init__(self, index: RowIndex, rows: Ints | None, declared: Field):
        self._index, self._rows, self.field = index, rows, declared
        self.dtype = declared.read_dtype

    @cached_property
    def _stacked(self) -> tuple[Ints, Ints, Ints]:
        return self._located(self._numbers(None))

    def _located(self, rows: Ints | slice) -> tuple[Ints, Ints, Ints]:
        """(segment, first entry in it, entries) of rows of the index."""
        return stacked(self._index, self.field, rows)

    @cached_property
    def _ends(self) -> Ints:
        return np.cumsum(self._stacked[2])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole, the stacking axis counting all entries of all rows."""
        if not self.field.ragged:
            return tuple(self._count if n is None else n for n in self.field.shape)
        total = int(self._ends[-1]) if len(self._ends) else 0
        return tuple(total if n is None else n for n in self.field.shape)

    @property
    def ndim(self) -> int:
        return len(self.field.dims)

    @property
    def entry_bytes(self) -> int:
        """Bytes of one entry along the stacking dim as read, all other dims taken whole."""
        return self._bytes_per_entry({})

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        axes = ", ".join(f"{dim}={n}" for dim, n in zip(self.field.dims, self.shape, strict=True))
        return f"<FieldView {self.field.name} [{axes}] {self.dtype}, {self._count} rows>"

    def lengths(self, rows: Any = None) -> Ints:
        """Entries along the stacking dim per row, int64 `[n_rows]`; all 1 for a field stacked by sample."""
        return self._stacked[2][as_rows(rows, self._count)].copy()

    def read(self, rows: Any = None, raw: bool = False, **select: Any) -> Array:
        """Values of `rows` (all, or a slice, bool mask or int array), one after the other along the stacking axis.

        `select` picks along other dims by name: `layer=3` drops the axis, `layer=[0, 3]` or `layer=slice(0, 4)` keeps
        it. Raises SelectionError for a dim or index that isn't there, CorruptStore for missing or damaged chunks.
        """
        return self._of_rows(rows, self._picks(select), raw)

    def gather(self, positions: Any, raw: bool = False, **select: Any) -> Array:
        """Entries at `positions` along the stacking axis of the whole (int64, any order, repeats allowed).

        Reads only the chunks that hold them.
        """
        total = self.shape[self.field.axis]
        at = np.asarray(positions)
        if at.ndim != 1 or (at.size and at.dtype.kind not in "iu"):
            raise SelectionError(f"gather takes a 1-d integer array, found {at.dtype} of shape {at.shape}.")
        at = at.astype(np.int64)
        if at.size and (at.min() < 0 or at.max() >= total):
            raise SelectionError(f"Position {at.min() if at.min() < 0 else at.max()} is outside 0..{total - 1}.")
        return self._at(at, self._picks(select), raw)

    def exponents(self, rows: Any = None, **select: Any) -> Array:
        """The power-of-two exponents of a float16 field, int8, dims without the last."""
        return self.exponent_view().read(rows, **select)

    def exponent_view(self) -> FieldView:
        """The exponents of a float16 field as a field of their own. Raises SelectionError for other fields."""
        companion = self.field.exponent_field()
        if companion is None:
            raise SelectionError(f"Field {self.field.name!r} is {self.field.dtype}; only float16 has exponents.")
        return FieldView(self._index, self._rows, companion)

    @property
    def scaled(self) -> bool:
        """True if any commit of a float16 field holds an exponent other than 0."""
        companion = self.field.exponent_field()
        return companion is not None and not all(
            s.manifest.fields[companion.name]["all_zero"] for s in self._index.segments
        )

    def __getitem__(self, key: Any) -> Array:
        """numpy-style: ints, slices, int and bool arrays, one per axis of `field.dims`, each applied to its own."""
        keys = split_key(key, self.ndim)
        axis = self.field.axis
        picks = tuple(
            as_pick(k, n, dim)
            for i, (k, n, dim) in enumerate(zip(keys, self.shape, self.field.dims, strict=True))
            if i != axis
        )
        pick = as_pick(keys[axis], self.shape[axis], self.field.stacking)
        at = np.atleast_1d(np.arange(self.shape[axis])[pick])
        values = self._at(at, picks, raw=False)
        if isinstance(pick, int):
            dropped = sum(isinstance(p, int) for p in picks[:axis])
            return values.take(0, axis=axis - dropped)
        return values

    def __iter__(self) -> Iterator[Array]:
        """Along the first axis, as numpy iterates: samples, tokens, or layers; read in blocks."""
        entry = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        step = max(1, _ITER_BYTES // entry)
        for start in range(0, len(self), step):
            yield from self[start : start + step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        values = self.read()
        return values if dtype is None else values.astype(dtype)

    def iter_blocks(self, max_bytes: int, rows: Any = None, **select: Any) -> Iterator[tuple[Ints, Array, Ints]]:
        """(row numbers, values, lengths) in the order in which rows lie on disk, each block at most `max_bytes` of
        values.

        A single row larger than that comes alone. Row numbers are those of this view.
        """
        for numbers in self.disk_blocks(max_bytes, rows, **select):
            yield numbers, self._of_rows(numbers, self._picks(select), False), self.lengths(numbers)

    def disk_blocks(self, max_bytes: int, rows: Any = None, **select: Any) -> Iterator[Ints]:
        """The row numbers of `iter_blocks`, for those who read the values themselves."""
        numbers = np.arange(self._count)[as_rows(rows, self._count)]
        segment, first, length = self._located(self._numbers(rows))
        order = np.lexsort((first, segment))
        for block in blocks(length[order] * self._bytes_per_entry(select), max_bytes):
            yield numbers[order[block]]

    def _bytes_per_entry(self, select: dict[str, Any]) -> int:
        others = [n for n in self.field.shape if n is not None]
        sizes = [np.empty(n, np.bool_)[pick].size for n, pick in zip(others, self._picks(select), strict=True)]
        return math.prod(sizes) * self.dtype.itemsize

    def _picks(self, select: dict[str, Any]) -> tuple[Pick, ...]:
        allowed = [dim for dim in self.field.dims if dim != self.field.stacking]
        for name in select:
            if name not in allowed:
                raise SelectionError(
                    f"Field {self.field.name!r} can't be selected by {name!r}{nearest(name, allowed)}; "
                    f"by name: {', '.join(allowed) or 'none'}; along {self.field.stacking!r} use rows= or gather()."
                )
        sizes = dict(zip(self.field.dims, self.field.shape, strict=True))
        return tuple(as_pick(select.get(dim, slice(None)), int(sizes[dim] or 0), dim) for dim in allowed)

    @property
    def _count(self) -> int:
        return len(self._index) if self._rows is None else len(self._rows)

    def _numbers(self, rows: Any) -> Ints | slice:
        """Rows of this view by their number in the index."""
        chosen = chosen_rows(self._rows, rows, self._count)
        return slice(None) if chosen is None else chosen

    def _places(self, at: Ints) -> Places:
        """Segment and entry of positions along the stacking axis."""
        if not self.field.ragged:
            return Places(*self._located(self._numbers(at))[:2])
        segment, first, length = self._stacked
        row = np.searchsorted(self._ends, at, side="right")
        return Places(segment[row], first[row] + at - (self._ends[row] - length[row]))

    def _of_rows(self, rows: Any, picks: tuple[Pick, ...], raw: bool) -> Array:
        """Values of rows of this view, one after the other."""
        return self._gather(_expand(*self._located(self._numbers(rows))), picks, raw)

    def _at(self, at: Ints, picks: tuple[Pick, ...], raw: bool) -> Array:
        """Values at positions along the stacking axis."""
        return self._gather(self._places(at), picks, raw)

    def _gather(self, places: Places, picks: tuple[Pick, ...], raw: bool) -> Array:
        values = gather(self.field, self._index.segments, places, picks, raw)
        companion = self.field.exponent_field()
        if raw or companion is None:
            return values
        used = np.unique(places.segment)
        if all(self._index.segments[s].manifest.fields[companion.name]["all_zero"] for s in used):
            return values
        exponents = gather(companion, self._index.segments, places, picks[:-1], raw=True)
        return apply_exponents(values, exponents)


def _expand(segment: Ints, first: Ints, length: Ints) -> Places:
    """Every entry of rows that start at `first` and have `length` entries."""
    total = int(length.sum())
    before = np.cumsum(length) - length
    return Places(np.repeat(segment, length), np.arange(total) + np.repeat(first - before, length))
