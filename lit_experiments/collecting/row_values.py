"""One row's numbers and cells, as they are stored or as they were computed again, and where the two differ.

Owns what counts as equal: whole numbers, flags and texts exactly; a float within what the model's own noise and the
rounding of its storage allow. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stores import Field, Records, Schema, Store
from stores.rows import build_table

Array = NDArray[Any]


@dataclass(frozen=True)
class RowValues:
    """cells: by column. arrays: by field, in on-disk axis order, floats as float64. half_steps: by float16 or bfloat16
    field, how far rounding may have moved each value: half the distance to the next number that its dtype holds."""

    cells: Mapping[str, Any]
    arrays: Mapping[str, Array]
    half_steps: Mapping[str, Array]


@dataclass(frozen=True)
class Difference:
    """A value that is not what it should be. name: of the field or column; place: where in it, "" for all of it."""

    sample_id: str
    name: str
    place: str
    stored: str
    recomputed: str
    allowed: float = 0.0

    def __str__(self) -> str:
        location = ", ".join(filter(None, (f"sample {self.sample_id!r}", self.name, self.place)))
        limit = f" (allowed: {self.allowed:.2g} apart)" if self.allowed else ""
        return f"{location}: stored {self.stored}, recomputed {self.recomputed}{limit}"


def stored_row(store: Store, row: int) -> RowValues:
    """Row number `row` of a store."""
    chosen = store.select(slice(row, row + 1))
    arrays, half_steps = {}, {}
    for field in store.schema.fields:
        view = chosen[field.name]
        arrays[field.name] = _wide(view.read())
        if field.dtype == "float16":
            with np.errstate(invalid="ignore"):  # a value that is missing has no step
                step = np.spacing(np.abs(view.read(raw=True))).astype(np.float64)
            half_steps[field.name] = np.ldexp(step / 2, view.exponents().astype(np.int32)[..., None])
        elif field.dtype == "bfloat16":
            half_steps[field.name] = np.spacing(np.abs(view.read())).astype(np.float64) * 2.0**15
    return RowValues(_decoded(chosen.table().to_pylist()[0], store.schema), arrays, half_steps)


def computed_row(records: Sequence[Records], schema: Schema) -> RowValues:
    """The row of the only sample in `records`, nothing of it rounded."""
    (held,) = [part for part in records if part.rows]
    arrays = {}
    for field in schema.fields:
        values = np.asarray(held.arrays[field.name])
        if field.is_float:
            values = values.astype(np.float64)
        if field.name in held.exponents:
            values = np.ldexp(values, np.asarray(held.exponents[field.name]).astype(np.int32)[..., None])
        arrays[field.name] = _wide(values)
    return RowValues(_decoded(build_table(held.rows, schema).to_pylist()[0], schema), arrays, {})


def differences(
    stored: RowValues, computed: RowValues, floors: Mapping[str, Array], typical: Mapping[str, float], schema: Schema
) -> Iterator[Difference]:
    """What of a stored row is not what was computed again, one for each field and column, its worst value.

    Args:
        floors: By name, how far two computations of a value may lie apart, relative to `scales`.
        typical: By name, the magnitude below which a number is not taken for small; see `scales`.
    """
    name_of_row = str(stored.cells["sample_id"])
    for name, cell in stored.cells.items():
        if not _cells_agree(cell, computed.cells[name], float(floors[name].max()), typical[name]):
            yield Difference(name_of_row, f"column {name!r}", "", _shown(cell), _shown(computed.cells[name]))
    for field in schema.fields:
        left, right = stored.arrays[field.name], computed.arrays[field.name]
        if left.shape != right.shape:
            yield Difference(name_of_row, f"field {field.name!r}", "its shape", f"{left.shape}", f"{right.shape}")
            continue
        allowed = _allowed(field, stored, floors[field.name], typical[field.name])
        excess = apart(left, right) - allowed
        wrong = np.argwhere(excess > 0)
        if len(wrong):
            worst = np.unravel_index(int(excess.argmax()), excess.shape)
            place = _place(field, schema, worst, left.shape)
            more = f" and {len(wrong) - 1} more values" if len(wrong) > 1 else ""
            numbers = (str(left[worst]), f"{right[worst]}{more}")
            yield Difference(name_of_row, f"field {field.name!r}", place, *numbers, float(allowed[worst]))


def worst_share(
    stored: RowValues, computed: RowValues, floors: Mapping[str, Array], typical: Mapping[str, float], schema: Schema
) -> tuple[float, str]:
    """The largest deviation beyond what rounding to the stored dtype explains, as a share of the allowed noise, over
    all fields of floats; and the name of its field."""
    shares = [(0.0, "")]
    for field in schema.fields:
        left, right = stored.arrays[field.name], computed.arrays[field.name]
        if field.is_float and left.size and left.shape == right.shape:
            half_steps = stored.half_steps.get(field.name, 0.0)
            noise = _allowed(field, stored, floors[field.name], typical[field.name]) - half_steps
            beyond = np.maximum(apart(left, right) - half_steps, 0.0)
            share = np.divide(beyond, noise, out=np.zeros(noise.shape), where=noise > 0)
            shares.append((float(share.max()), field.name))
    return max(shares)


def scales(values: Array, field: Field | None, typical: float) -> Array:
    """The magnitude that rounding errors of each value go by: of a state vector its largest entry, of other numbers
    their own size, but `typical` at least."""
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    if field is not None and field.dtype in ("float16", "bfloat16") and finite.size:
        return np.broadcast_to(finite.max(-1, keepdims=True), values.shape)
    return np.maximum(finite, typical)


def apart(left: Array, right: Array) -> Array:
    """|left - right|; 0 where both are the same, NaN and infinity included, infinity where only one is finite."""
    identical = (left == right) | ((left != left) & (right != right))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(np.asarray(left, np.float64) - np.asarray(right, np.float64))
    return np.where(identical, 0.0, np.where(np.isfinite(distance), distance, np.inf))


def numbers_in(cell: Any) -> list[float]:
    """All floats of a cell, those of lists and JSON included, in order."""
    if isinstance(cell, float):
        return [cell]
    parts = cell.values() if isinstance(cell, dict) else cell if isinstance(cell, list) else ()
    return [number for part in parts for number in numbers_in(part)]


def _cells_agree(left: Any, right: Any, floor: float, typical: float) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        distance = float(apart(np.array(left), np.array(right)))
        return distance <= floor * max(abs(left), typical) if np.isfinite(distance) else False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            _cells_agree(x, y, floor, typical) for x, y in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_cells_agree(left[k], right[k], floor, typical) for k in left)
    return type(left) is type(right) and left == right


def _allowed(field: Field, stored: RowValues, floor: Array, typical: float) -> Array:
    values = stored.arrays[field.name]
    if not field.is_float:
        return np.zeros(values.shape)
    per_line = np.reshape(floor, (*field.leading, *[1] * (values.ndim - len(field.leading))))
    return per_line * scales(values, field, typical) + stored.half_steps.get(field.name, 0.0)


def _place(field: Field, schema: Schema, index: Sequence[Any], shape: Sequence[int]) -> str:
    places = zip(field.dims, map(int, index), shape, strict=True)
    return ", ".join(
        f"{dim} {position} of {size}" if dim == field.stacking else schema.label(dim, position)
        for dim, position, size in places
        if dim != "sample"
    )


def _wide(values: Array) -> Array:
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _decoded(row: dict[str, Any], schema: Schema) -> dict[str, Any]:
    texts = {column.name for column in schema.columns if column.type == "json"}
    return {name: json.loads(cell) if name in texts and cell is not None else cell for name, cell in row.items()}


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 200 else f"{text[:197]}..."
