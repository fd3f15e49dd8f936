"""What a consolidated export holds next to its plain attributes, whatever the container: fields as other readers
understand them, coordinates, and metadata columns, each with named dims.

Ragged dims follow the CF conventions' contiguous ragged arrays: `<dim>_lengths` along `sample` says how many entries
each row has, with the attribute `sample_dimension`; `<dim>_offsets` says where they begin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from ..field_view import FieldView
from ..fingerprint import fingerprint_hash
from ..reader import Store
from ..schema import SAMPLE
from ..segment_files import FieldPlan
from ..writer import plan_field

ROWS = "rows"


@dataclass(frozen=True)
class Variable:
    """One small array: numbers, or texts as a list. `name` may begin with "rows/"."""

    name: str
    dims: tuple[str, ...]
    values: NDArray[Any] | list[str]
    attributes: dict[str, str] = field(default_factory=dict)


def attributes(store: Store) -> dict[str, Any]:
    """Attributes of the whole, JSON as text."""
    return {
        "fingerprint": json.dumps(store.fingerprint),
        "fingerprint_sha256": fingerprint_hash(store.fingerprint),
        "provenance": json.dumps(store.provenance),
        "coords": json.dumps(store.schema.coords),
        "rows": len(store),
    }


def field_plans(store: Store, keep_half: bool) -> list[FieldPlan]:
    """Fields in row order, as values that need no exponents: bfloat16 becomes float32, and so does float16 where an
    exponent is in use or `keep_half` is False.
    """
    return [_plan(store.field(f.name), keep_half) for f in store.schema.fields]


def _plan(view: FieldView, keep_half: bool) -> FieldPlan:
    declared, leading = view.field, view.field.dims[: view.field.axis]
    raw = declared.dtype == "float16" and keep_half and not view.scaled
    exported = declared if raw else replace(declared, dtype=view.dtype.name)

    def fetch(lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        return view.gather(np.arange(start, stop), raw=raw, **dict(zip(leading, lead, strict=True)))

    return plan_field(exported, view.shape[declared.axis], fetch)


def variables(store: Store) -> list[Variable]:
    """Coordinates, places of ragged rows, and columns. Raises ExportError where two things would have one name."""
    exported = [*_coordinates(store), *_ragged(store), *_columns(store)]
    taken = [v.name.partition("/")[0] for v in exported if not v.name.startswith(f"{ROWS}/")] + [ROWS]
    dims = {dim for f in store.schema.fields for dim in f.dims} | {dim for v in exported for dim in v.dims}
    for f in store.schema.fields:
        if f.name in taken or (f.name in dims and f.dims != (f.name,)):
            raise ExportError(
                f"Field {f.name!r} can't be exported to zarr or hdf5: there a dim or another array has that name. "
                "Export to parquet, npy, safetensors or jsonl."
            )
    return exported


def _coordinates(store: Store) -> Iterator[Variable]:
    """The rows' ids, and the names or numbers along dims that have some."""
    yield Variable(SAMPLE, (SAMPLE,), store.sample_ids, {"description": "sample_id of each row"})
    for dim, labels in store.schema.coords.items():
        yield Variable(dim, (dim,), label_array(labels))


def label_array(labels: list[str | int | float]) -> NDArray[Any] | list[str]:
    """Labels of a dim: numbers as an array, texts (or both mixed) as texts."""
    if all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        return np.array(labels)
    return [str(label) for label in labels]


def _ragged(store: Store) -> Iterator[Variable]:
    for dim in store.schema.ragged_dims:
        view = next(store.field(f.name) for f in store.schema.fields if f.stacking == dim)
        lengths = view.lengths().astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        what = {"description": f"entries of each row along {dim}", "sample_dimension": dim}
        yield Variable(f"{dim}_lengths", (SAMPLE,), lengths, what)
        what = {"description": f"row i has the entries from place i to place i + 1 along {dim}"}
        yield Variable(f"{dim}_offsets", (f"{dim}_boundary",), offsets, what)


def _columns(store: Store) -> Iterator[Variable]:
    """`rows/<name>`; where values are missing, `rows/<name>.valid` says which are there."""
    table = store.table()
    known = {c.name: c for c in store.schema.columns}
    for name in table.column_names:
        column, declared = table.column(name), known.get(name)
        if column.null_count:
            valid = np.array(column.is_valid().to_pylist(), np.bool_)
            yield Variable(f"{ROWS}/{name}.valid", (SAMPLE,), valid, {"description": f"whether {name} has a value"})
        what = {"description": declared.description} if declared else {}
        yield Variable(
            f"{ROWS}/{name}", (SAMPLE,), _plain_column(column.to_pylist(), store.schema.column_type(name)), what
        )


def _plain_column(values: list[Any], kind: str) -> NDArray[Any] | list[str]:
    """Numbers as an array (missing ones 0, NaN or False), text as it is (missing ""), lists as JSON text."""
    if kind in ("int64", "float64", "bool"):
        missing = float("nan") if kind == "float64" else 0
        return np.array([missing if v is None else v for v in values], kind)
    if kind.startswith("list"):
        return ["" if v is None else json.dumps(v) for v in values]
    return ["" if v is None else v for v in values]
