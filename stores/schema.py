"""What a store holds: fields (arrays), columns (metadata) and coordinates (names along a dim), checked once.

Knows nothing of files. A field has exactly one *stacking* dim, the one whose length differs from commit to commit:
"sample" (one entry per row) or a ragged dim such as "token" (each row has its own length). Rows are concatenated along
it, never padded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import SchemaError

SAMPLE = "sample"
EXPONENT_SUFFIX = ".exponent"
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool"),
)
COLUMN_TYPES = ("string", "int64", "float64", "bool", "list<int64>", "list<float64>", "list<string>", "json")
RESERVED_COLUMNS = ("sample_id", "sample_index")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True)
class Field:
    """One array of the store, in on-disk axis order.

    `shape` has None at the stacking dim. `units` and `description` say what the numbers are ("nats", "1", ...).
    `nonfinite` is "raise" (NaN or infinity is an error) or "record" (stored as it is).
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int | None, ...]
    dtype: str
    units: str
    description: str
    nonfinite: str = "raise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        object.__setattr__(self, "shape", tuple(self.shape))
        _check_field(self)

    @property
    def axis(self) -> int:
        """Position of the stacking dim."""
        return self.shape.index(None)

    @property
    def stacking(self) -> str:
        """Name of the stacking dim."""
        return self.dims[self.axis]

    @property
    def ragged(self) -> bool:
        """True if each row brings its own length along the stacking dim."""
        return self.stacking != SAMPLE

    @property
    def leading(self) -> tuple[int, ...]:
        """Sizes of the dims before the stacking dim."""
        return tuple(n for n in self.shape[: self.axis] if n is not None)

    @property
    def trailing(self) -> tuple[int, ...]:
        """Sizes of the dims after the stacking dim."""
        return tuple(n for n in self.shape[self.axis + 1 :] if n is not None)

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype of the bytes on disk (bfloat16 lies as uint16 bits)."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)

    @property
    def read_dtype(self) -> np.dtype[Any]:
        """The dtype that reading gives: float16 and bfloat16 come back as float32."""
        return np.dtype("float32" if self.dtype in ("float16", "bfloat16") else self.dtype)

    @property
    def is_float(self) -> bool:
        return "float" in self.dtype

    def exponent_field(self) -> Field | None:
        """The int8 companion of a float16 field: one power of two per vector along the last dim."""
        if self.dtype != "float16":
            return None
        companion = object.__new__(Field)
        values = {
            "name": self.name + EXPONENT_SUFFIX,
            "dims": self.dims[:-1],
            "shape": self.shape[:-1],
            "dtype": "int8",
            "units": "power of two",
            "description": f"value = {self.name} * 2**exponent, per vector along {self.dims[-1]!r}",
            "nonfinite": "raise",
        }
        for key, value in values.items():
            object.__setattr__(companion, key, value)
        return companion


@dataclass(frozen=True)
class Column:
    """One metadata column; see COLUMN_TYPES. A value may be None."""

    name: str
    type: str
    description: str

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise SchemaError(f"Column name {self.name!r}: use letters, digits, '_' and '-', starting with a letter.")
        if self.name in RESERVED_COLUMNS:
            raise SchemaError(f"Column {self.name!r} is always there; leave it out of the schema.")
        if self.type not in COLUMN_TYPES:
            raise SchemaError(
                f"Column {self.name!r} has type {self.type!r}{nearest(self.type, COLUMN_TYPES)}; "
                f"allowed: {', '.join(COLUMN_TYPES)}."
            )


@dataclass(frozen=True)
class Schema:
    """Fields, columns, and the names or numbers along a dim (`coords`, for example {"layer": ["embed",
    "resid_post.0"]}).
    """

    fields: tuple[Field, ...]
    columns: tuple[Column, ...]
    coords: dict[str, list[str | int | float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "coords", {dim: list(labels) for dim, labels in self.coords.items()})
        _check_unique("field", [f.name for f in self.fields])
        _check_unique("column", [c.name for c in self.columns])
        _check_sizes(self)

    @property
    def ragged_dims(self) -> tuple[str, ...]:
        """Ragged dims in order of first use."""
        return tuple(dict.fromkeys(f.stacking for f in self.fields if f.ragged))

    def field(self, name: str) -> Field:
        """The declared field, or SchemaError naming the nearest."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        names = [f.name for f in self.fields]
        raise SchemaError(f"No field {name!r}{nearest(name, names)}; the store has: {', '.join(names) or 'none'}.")

    def column_type(self, name: str) -> str:
        """The type of a declared column, of sample_id or of sample_index."""
        kinds = {"sample_id": "string", "sample_index": "int64", **{c.name: c.type for c in self.columns}}
        return kinds[name]

    def label(self, dim: str, index: int) -> str:
        """How to name one place along a dim: "layer='resid_post.3'" or "layer=3"."""
        labels = self.coords.get(dim)
        return f"{dim}={labels[index]!r}" if labels is not None else f"{dim}={index}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the inverse of `from_json`."""
        return {
            "fields": [
                {
                    "name": f.name,
                    "dims": list(f.dims),
                    "shape": list(f.shape),
                    "dtype": f.dtype,
                    "units": f.units,
                    "description": f.description,
                    "nonfinite": f.nonfinite,
                }
                for f in self.fields
            ],
            "columns": [{"name": c.name, "type": c.type, "description": c.description} for c in self.columns],
            "coords": self.coords,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """Raises KeyError or TypeError where keys are missing or unknown, SchemaError where values are wrong."""
        return cls(
            fields=tuple(Field(**{**f, "dims": tuple(f["dims"]), "shape": tuple(f["shape"])}) for f in data["fields"]),
            columns=tuple(Column(**c) for c in data["columns"]),
            coords=data["coords"],
        )


def nearest(name: str, names: Iterable[str]) -> str:
    """ " (did you mean 'x'?)" or nothing."""
    matches = difflib.get_close_matches(str(name), list(names), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def _check_field(f: Field) -> None:
    where = f"Field {f.name!r}"
    if not _NAME.match(f.name):
        raise SchemaError(f"{where}: use letters, digits, '_' and '-' for its name, starting with a letter.")
    if f.dtype not in DTYPES:
        raise SchemaError(f"{where} has dtype {f.dtype!r}{nearest(f.dtype, DTYPES)}; allowed: {', '.join(DTYPES)}.")
    if f.nonfinite not in ("raise", "record"):
        raise SchemaError(f"{where} has nonfinite={f.nonfinite!r}; allowed: 'raise', 'record'.")
    if len(f.dims) != len(f.shape):
        raise SchemaError(f"{where}: dims {f.dims} and shape {f.shape} differ in length.")
    if len(set(f.dims)) != len(f.dims) or not all(_NAME.match(dim) for dim in f.dims):
        raise SchemaError(f"{where}: dims {f.dims} need to be distinct names of letters, digits, '_' and '-'.")
    if f.shape.count(None) != 1:
        raise SchemaError(f"{where}: shape {f.shape} needs None exactly once, at the dim along which rows are stacked.")
    if any(n is not None and n < 1 for n in f.shape):
        raise SchemaError(f"{where}: shape {f.shape} has a size below 1.")
    if SAMPLE in f.dims and f.stacking != SAMPLE:
        raise SchemaError(f"{where} stacks rows along {f.stacking!r}, so it can't have the dim 'sample' as well.")
    if f.dtype == "float16" and f.axis == len(f.dims) - 1:
        raise SchemaError(
            f"{where}: float16 needs a vector dim after {f.stacking!r}; declare float32 for single numbers."
        )


def _check_unique(kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SchemaError(f"There are two {kind}s named {name!r}.")


def _check_sizes(schema: Schema) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    stacking = {f.stacking: f.name for f in schema.fields}
    for f in schema.fields:
        for dim, size in zip(f.dims, f.shape, strict=True):
            if size is None:
                continue
            if dim in stacking:
                raise SchemaError(
                    f"Dim {dim!r} has size {size} in {f.name!r} but stacks the rows of {stacking[dim]!r}."
                )
            known, owner = sizes.setdefault(dim, (size, f.name))
            if known != size:
                raise SchemaError(
                    f"Dim {dim!r} has size {known} in {owner!r} and {size} in {f.name!r}; give them two names."
                )
    for dim, labels in schema.coords.items():
        if dim not in sizes:
            raise SchemaError(f"Coordinates for {dim!r}{nearest(dim, sizes)}, which is no fixed dim of any field.")
        if sizes[dim][0] != len(labels):
            raise SchemaError(f"{len(labels)} coordinates for dim {dim!r}, which has size {sizes[dim][0]}.")
