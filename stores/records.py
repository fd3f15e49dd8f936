"""One batch of rows with their arrays, checked against the schema and encoded for storage. Knows no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .encoding import cast_exactly, encode_bfloat16, encode_float16, first_nonfinite
from .errors import NonFiniteError, RecordError
from .rows import build_table, check_row
from .schema import Field, Schema, nearest

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]


@dataclass
class Records:
    """A batch; all of its rows land in the same commit. The writer keeps the arrays until then: don't reuse their
    memory.

    `arrays` are in on-disk axis order, rows one after the other along each field's stacking dim. float16 fields take
    float32 or float64 (encoded here), or float16 with their `exponents` (int8, `[dims without the last]`; all 0 if
    left out). bfloat16 fields take float32 (rounded to nearest even) or uint16 bits. `lengths` gives each ragged dim's
    length per row, `[n_rows]`.
    """

    rows: list[dict[str, Any]]
    arrays: dict[str, Array]
    lengths: dict[str, Array] = field(default_factory=dict)
    exponents: dict[str, Array] = field(default_factory=dict)


@dataclass
class Encoded:
    """Records as they will be stored: rows as a table, arrays by stored name (exponents included), lengths by ragged
    dim.
    """

    table: pa.Table
    arrays: dict[str, Array]
    lengths: dict[str, NDArray[np.int64]]

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in self.arrays.values())


def encode_records(records: Records, schema: Schema) -> Encoded:
    """Check names, shapes, lengths and finiteness, then encode.

    Raises RecordError (both shapes, or the names) and NonFiniteError (sample, field, place, position).
    """
    for row in records.rows:
        check_row(row, schema)
    _check_names("array", records.arrays, [f.name for f in schema.fields], required=True)
    _check_names("lengths entry", records.lengths, schema.ragged_dims, required=True)
    _check_names("exponents entry", records.exponents, [f.name for f in schema.fields if f.dtype == "float16"])
    lengths = {dim: _check_lengths(dim, records) for dim in schema.ragged_dims}
    arrays: dict[str, Array] = {}
    for declared in schema.fields:
        values = np.asarray(records.arrays[declared.name])
        total = int(lengths[declared.stacking].sum()) if declared.ragged else len(records.rows)
        _check_shape(declared, values, total)
        owners = lengths[declared.stacking] if declared.ragged else np.ones(len(records.rows), np.int64)
        arrays.update(_encode(declared, values, records, owners, schema))
    return Encoded(build_table(records.rows, schema), arrays, lengths)


def _check_names(kind: str, given: dict[str, Array], known: Any, required: bool = False) -> None:
    for name in given:
        if name not in known:
            raise RecordError(f"Unknown {kind} {name!r}{nearest(name, known)}; declared: {', '.join(known) or 'none'}.")
    missing = [name for name in known if name not in given]
    if required and missing:
        raise RecordError(f"Records lack the {kind} {missing[0]!r}; declared: {', '.join(known)}.")


def _check_lengths(dim: str, records: Records) -> NDArray[np.int64]:
    lengths = np.asarray(records.lengths[dim])
    if lengths.shape != (len(records.rows),) or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise RecordError(
            f"lengths[{dim!r}] needs one integer >= 0 per row: shape ({len(records.rows)},), "
            f"found shape {lengths.shape} of {lengths.dtype}."
        )
    return lengths.astype(np.int64)


def _check_shape(declared: Field, values: Array, total: int) -> None:
    expected = tuple(total if n is None else n for n in declared.shape)
    if values.shape != expected:
        source = f"sum of lengths[{declared.stacking!r}]" if declared.ragged else "number of rows"
        raise RecordError(
            f"Field {declared.name!r} has shape {values.shape}, expected {expected} for dims {declared.dims} "
            f"({source} = {total})."
        )


def _encode(
    declared: Field, values: Array, records: Records, owners: NDArray[np.int64], schema: Schema
) -> dict[str, Array]:
    """Stored name -> stored array, for a field and its companion."""
    if declared.dtype == "float16":
        mantissas, exponents = _encode_half(declared, values, records)
        _check_finite(declared, mantissas, records, owners, schema)
        companion = declared.exponent_field()
        assert companion is not None
        return {declared.name: mantissas, companion.name: exponents}
    if declared.dtype == "bfloat16":
        if values.dtype not in (np.float32, np.uint16):
            raise RecordError(f"Field {declared.name!r}: bfloat16 takes float32 or uint16 bits, found {values.dtype}.")
        stored = values if values.dtype == np.uint16 else encode_bfloat16(values)
    else:
        stored = cast_exactly(values, declared.stored_dtype, f"Field {declared.name!r}")
    if declared.is_float:
        _check_finite(declared, stored, records, owners, schema)
    return {declared.name: stored}


def _encode_half(declared: Field, values: Array, records: Records) -> tuple[Array, Array]:
    given = records.exponents.get(declared.name)
    if values.dtype != np.float16:
        if given is not None:
            raise RecordError(f"Field {declared.name!r}: exponents go with float16 values, found {values.dtype}.")
        if values.dtype not in (np.float32, np.float64):
            raise RecordError(
                f"Field {declared.name!r}: float16 takes float16, float32 or float64, found {values.dtype}."
            )
        return encode_float16(values)
    if given is None:
        return values, np.zeros(values.shape[:-1], np.int8)
    exponents = np.asarray(given)
    if exponents.shape != values.shape[:-1] or exponents.dtype != np.int8:
        raise RecordError(
            f"Field {declared.name!r}: exponents have shape {exponents.shape} of {exponents.dtype}, "
            f"expected {values.shape[:-1]} of int8 for values of shape {values.shape}."
        )
    return values, exponents


def _check_finite(declared: Field, stored: Array, records: Records, owners: NDArray[np.int64], schema: Schema) -> None:
    """`owners`: entries along the stacking dim per row, to say which sample a place belongs to."""
    index = first_nonfinite(stored) if declared.nonfinite == "raise" else None
    if index is None:
        return
    entry = index[declared.axis]
    ends = np.cumsum(owners)
    row = int(np.searchsorted(ends, entry, side="right"))
    places = [
        f"{dim} {entry - int(ends[row] - owners[row])} of {int(owners[row])}" if dim == declared.stacking else
        schema.label(dim, at)
        for dim, at in zip(declared.dims, index, strict=True)
        if dim != "sample"
    ]  # fmt: skip
    value = stored[index] if stored.dtype != np.uint16 else "NaN or infinity"
    raise NonFiniteError(
        f"Sample {records.rows[row]['sample_id']!r}, field {declared.name!r}, {', '.join(places)}: {value}. "
        "Look at the model and its dtype, or declare the field with nonfinite='record'."
    )
