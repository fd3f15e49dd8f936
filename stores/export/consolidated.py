"""One Zarr group or one HDF5 file with everything: fields in row order, metadata as arrays under `rows`, offsets of
ragged dims.

Written by the same code as a segment, so chunks, compression and checksums are the store's own.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import hdf5_backend, zarr_backend
from ..backends import FieldPlan
from ..field_view import FieldView
from ..files import LocalFiles
from ..fingerprint import fingerprint_hash
from ..reader import Store
from ..writer import plan_field

Put = Callable[[str, NDArray[Any] | list[str]], None]


def export_zarr(store: Store, out: Path) -> None:
    """A Zarr v3 group with consolidated metadata."""
    import zarr

    zarr_backend.write_segment(LocalFiles(out.parent), out.name, _plans(store), _attributes(store))
    group = zarr.open_group(out, mode="r+", use_consolidated=False)

    def put(name: str, values: NDArray[Any] | list[str]) -> None:
        if isinstance(values, list):
            made = group.create_array(name, shape=(len(values),), dtype="str", chunks=(max(1, len(values)),))
            made[:] = np.array(values, dtype=np.dtypes.StringDType())
        else:
            group.create_array(name, data=values)

    _put_rows(store, put)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")  # asked for, and known
        zarr.consolidate_metadata(group.store)


def export_hdf5(store: Store, out: Path) -> None:
    """One HDF5 file; text as variable-length UTF-8."""
    import h5py

    def add_rows(file: Any) -> None:
        def put(name: str, values: NDArray[Any] | list[str]) -> None:
            if isinstance(values, list):
                file.create_dataset(name, data=values, dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=values)

        _put_rows(store, put)

    hdf5_backend.write_file(LocalFiles(out.parent), out.name, _plans(store), _attributes(store), add_rows)


def _attributes(store: Store) -> dict[str, Any]:
    return {
        "fingerprint": json.dumps(store.fingerprint),
        "fingerprint_sha256": fingerprint_hash(store.fingerprint),
        "provenance": json.dumps(store.provenance),
        "coords": json.dumps(store.schema.coords),
        "rows": len(store),
    }


def _plans(store: Store) -> list[FieldPlan]:
    plans = []
    for declared in store.schema.fields:
        view = store.field(declared.name)
        plans.append(_plan(store, view))
        if declared.exponent_field() is not None:
            plans.append(_plan(store, view.exponent_view()))
    return plans


def _plan(store: Store, view: FieldView) -> FieldPlan:
    dims = view.field.dims[: view.field.axis]

    def fetch(lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        return view.gather(np.arange(start, stop), raw=True, **dict(zip(dims, lead, strict=True)))

    return plan_field(view.field, view.shape[view.field.axis], fetch)


def _put_rows(store: Store, put: Put) -> None:
    """Metadata columns as `rows/<name>`; where values are missing, `rows/<name>.valid` says which are there."""
    table = store.table()
    kinds = {"sample_id": "string", "sample_index": "int64", **{c.name: c.type for c in store.schema.columns}}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count:
            put(f"rows/{name}.valid", np.array(column.is_valid().to_pylist(), np.bool_))
        put(
            f"rows/{name}",
            _plain_column(column.to_pylist(), kinds.get(name, "string" if name == "sample_id" else "int64")),
        )
    for dim in store.schema.ragged_dims:
        view = next(store.field(f.name) for f in store.schema.fields if f.stacking == dim)
        put(f"{dim}_offsets", np.concatenate([[0], np.cumsum(view.lengths())]).astype(np.int64))


def _plain_column(values: list[Any], kind: str) -> NDArray[Any] | list[str]:
    """Numbers as an array (missing ones 0, NaN or False), text as it is (missing ""), lists as JSON text."""
    if kind in ("int64", "float64", "bool"):
        missing = float("nan") if kind == "float64" else 0
        return np.array([missing if v is None else v for v in values], kind)
    if kind.startswith("list"):
        return ["" if v is None else json.dumps(v) for v in values]
    return ["" if v is None else v for v in values]
