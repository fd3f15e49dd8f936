"""A field of a store that was extended: it lies in one piece, or its places along a leading dim are in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .field_view import FieldView
from .gather import Pick
from .pieces import Share, shares
from .row_index import JoinedIndex, RowIndex
from .schema import Field
from .store_file import Header

Array = NDArray[Any]
Ints = NDArray[np.int64]
Read = Callable[[FieldView, tuple[Pick, ...]], Array]


def field_view(header: Header, index: RowIndex, rows: Ints | None, name: str) -> FieldView:
    """A field over rows of a store's index, wherever it lies. Raises SchemaError for an unknown one."""
    declared = header.schema.field(name)
    if not isinstance(index, JoinedIndex):
        return FieldView(index, rows, declared)
    held = shares(header.schema, name, header.pieces)
    parts = [_part(index, rows, share) for share in held]
    if len(held) > 1:
        return JoinedView(declared, parts, held)
    return FieldView(parts[0]._index, parts[0]._rows, declared)


def _part(index: JoinedIndex, rows: Ints | None, share: Share) -> FieldView:
    if share.piece == 0:
        return FieldView(index, rows, share.declared)
    numbers = index.rows_in(share.piece)
    return FieldView(index.others[share.piece], numbers if rows is None else numbers[rows], share.declared)


class JoinedView(FieldView):
    """A field whose places along one leading dim are in several pieces, which have the same rows and lengths."""

    def __init__(self, declared: Field, parts: Sequence[FieldView], held: Sequence[Share]) -> None:
        super().__init__(parts[0]._index, parts[0]._rows, declared)
        self._parts, self._held = parts, held
        if declared.ragged:  # read now: a thread of the pool that reads values must not wait for the pool
            for part in parts:
                part._index.entries(declared.stacking)
        self._axis = held[0].axis or 0
        size = declared.leading[self._axis]
        self._owner, self._local = np.full(size, -1), np.zeros(size, np.int64)
        for number, share in enumerate(held):
            assert share.places is not None
            self._owner[share.places], self._local[share.places] = number, np.arange(len(share.places))

    @property
    def scaled(self) -> bool:
        """True if any commit of a float16 field holds an exponent other than 0."""
        return any(part.scaled for part in self._parts)

    def exponent_view(self) -> FieldView:
        """The exponents of a float16 field as a field of their own. Raises SelectionError for other fields."""
        companion = super().exponent_view().field
        return JoinedView(companion, [part.exponent_view() for part in self._parts], self._held)

    def _of_rows(self, rows: Any, picks: tuple[Pick, ...], raw: bool) -> Array:
        return self._assembled(picks, lambda part, places: part._of_rows(rows, places, raw))

    def _at(self, at: Ints, picks: tuple[Pick, ...], raw: bool) -> Array:
        return self._assembled(picks, lambda part, places: part._at(at, places, raw))

    def _assembled(self, picks: tuple[Pick, ...], read: Read) -> Array:
        """What each part reads of the places that are picked, in the order of the picks."""
        before, pick, after = picks[: self._axis], picks[self._axis], picks[self._axis + 1 :]
        if isinstance(pick, int):
            return read(self._parts[int(self._owner[pick])], (*before, int(self._local[pick]), *after))
        chosen = np.arange(len(self._owner))[pick]
        axis = self._axis - sum(isinstance(other, int) for other in before)
        whole: Array | None = None
        for number in np.unique(self._owner[chosen]).tolist() or [0]:
            mine = np.flatnonzero(self._owner[chosen] == number)
            values = read(self._parts[number], (*before, self._local[chosen[mine]], *after))
            if whole is None:
                whole = np.empty((*values.shape[:axis], len(chosen), *values.shape[axis + 1 :]), values.dtype)
            np.moveaxis(whole, axis, 0)[mine] = np.moveaxis(values, axis, 0)
        assert whole is not None
        return whole
