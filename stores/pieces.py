"""Pieces: a store that was extended holds its rows' fields in several pieces, each with segments of its own.

The first piece is what store.json declares; every extension that adds fields, or places along a field's leading dim,
is one more. A piece is a schema without columns. Places along a dim are known by their labels (`Schema.coords`). Knows
no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SchemaMismatch
from .schema import Field, Schema

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Share:
    """What one piece holds of a field.

    piece: its number. declared: the field as the piece has it. axis: the leading dim that is divided among pieces, and
    places: [place along it in the piece] its place in the whole; None where the piece holds the whole field.
    """

    piece: int
    declared: Field
    axis: int | None = None
    places: Ints | None = None

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The piece's part of the whole field's values, or of their exponents."""
        return values if self.places is None else np.take(values, self.places, axis=self.axis)


def shares(whole: Schema, name: str, pieces: Sequence[Schema]) -> list[Share]:
    """Which pieces hold a field, and what of it.

    Raises:
        SchemaMismatch: a piece's field can be no part of the whole.
    """
    declared = whole.field(name)
    holders = [(number, piece) for number, piece in enumerate(pieces) if name in [f.name for f in piece.fields]]
    return [_share(whole, declared, number, piece) for number, piece in holders]


def missing_piece(whole: Schema, pieces: Sequence[Schema]) -> Schema:
    """What the pieces lack of a schema, as one more piece; without fields if they lack nothing.

    Raises:
        SchemaMismatch: the schema does not hold everything that the pieces hold, or has other columns.
    """
    names = {declared.name for declared in whole.fields}
    lost = sorted({f.name for piece in pieces for f in piece.fields} - names)
    if lost:
        raise SchemaMismatch(f"A store can be extended, but not lose what it has: field {lost[0]!r}.")
    if whole.columns != pieces[0].columns:
        raise SchemaMismatch("A store can be extended by fields, and by places along a field's dims, not by columns.")
    fields: list[Field] = []
    coords: dict[str, list[str | int | float]] = {}
    for declared in whole.fields:
        rest = _rest(whole, declared, shares(whole, declared.name, pieces))
        if rest is not None:
            fields.append(rest[0])
            coords |= rest[1]
    return Schema(tuple(fields), (), coords)


def _rest(whole: Schema, declared: Field, held: list[Share]) -> tuple[Field, dict[str, list[str | int | float]]] | None:
    """What is missing of a field, with the labels of its dims."""
    if not held:
        return declared, {dim: whole.coords[dim] for dim in declared.dims if dim in whole.coords}
    divided = [share for share in held if share.places is not None]
    if len(divided) < len(held):
        return None
    axis = divided[0].axis
    if axis is None or any(share.axis != axis for share in divided):
        raise SchemaMismatch(f"Field {declared.name!r} can be extended along one of its dims only.")
    dim = declared.dims[axis]
    labels = whole.coords[dim]
    present = {int(place) for share in divided if share.places is not None for place in share.places}
    rest = [label for place, label in enumerate(labels) if place not in present]
    if not rest:
        return None
    own_dim = f"{dim}_of_{declared.name}"
    dims = tuple(own_dim if name == dim else name for name in declared.dims)
    shape = tuple(len(rest) if place == axis else n for place, n in enumerate(declared.shape))
    others = {name: whole.coords[name] for name in dims if name in whole.coords}
    return replace(declared, dims=dims, shape=shape), {**others, own_dim: rest}


def _share(whole: Schema, declared: Field, number: int, piece: Schema) -> Share:
    here = piece.field(declared.name)
    plain = replace(here, dims=declared.dims, shape=declared.shape)
    if len(here.dims) != len(declared.dims) or plain != declared or here.stacking != declared.stacking:
        raise SchemaMismatch(f"Field {declared.name!r} of the store is another one: {here}; now {declared}.")
    differing = [
        axis
        for axis, (mine, dim) in enumerate(zip(here.dims, declared.dims, strict=True))
        if (mine != dim and mine not in piece.coords)
        or piece.coords.get(mine) != whole.coords.get(dim)
        or here.shape[axis] != declared.shape[axis]
    ]
    if not differing:
        return Share(number, here)
    axis = differing[0]
    mine, labels = piece.coords.get(here.dims[axis]), whole.coords.get(declared.dims[axis])
    if len(differing) > 1 or axis >= declared.axis or mine is None or labels is None or not set(mine) <= set(labels):
        raise SchemaMismatch(f"Field {declared.name!r} differs along {', '.join(declared.dims[a] for a in differing)}.")
    return Share(number, here, axis, np.array([labels.index(label) for label in mine], np.int64))
