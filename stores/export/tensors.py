"""Plain tensors: one `.npy` file, or one tensor of a safetensors file, per field and place along its leading dims.

Rows are concatenated along the stacking dim; `offsets_<dim>` says where each row begins. Beside them rows.parquet
(metadata) and metadata.json (what each tensor is). Written through memory maps, a block of rows at a time.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field_view import FieldView
from ..fingerprint import fingerprint_hash
from ..reader import Store
from ..selection import blocks

BLOCK_BYTES = 128 << 20
_SAFE = {
    "float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
}  # fmt: skip


def export_npy(store: Store, out: Path) -> None:
    """`<field>.npy`, or `<field>/<dim>_<index>.npy` for fields with dims before the stacking one."""
    out.mkdir()
    files = {view.field.name: write_stacked(view, out) for view in views(store)}
    for dim in store.schema.ragged_dims:
        np.save(out / f"offsets_{dim}.npy", offsets(store, dim))
        np.save(out / f"lengths_{dim}.npy", np.diff(offsets(store, dim)))
    describe(store, out, files)


def write_stacked(view: FieldView, out: Path) -> list[str]:
    """A field's rows one after the other, in files below `out` whose names are returned."""
    targets, names = {}, []
    for lead, suffix in leads(view):
        name = f"{file_stem(view, suffix)}.npy"
        (out / name).parent.mkdir(exist_ok=True)
        targets[lead] = open_npy(out / name, _shape(view), tensor_dtype(view))
        names.append(name)
    _fill(view, targets)
    return names


def export_safetensors(store: Store, out: Path) -> None:
    """`tensors.safetensors` with tensors `<field>` or `<field>.<dim>_<index>`, and `offsets_<dim>`."""
    out.mkdir()
    plan: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    names: dict[str, list[str]] = {}
    for view in views(store):
        for _, suffix in leads(view):
            plan[view.field.name + suffix] = (_shape(view), tensor_dtype(view))
            names.setdefault(view.field.name, []).append(view.field.name + suffix)
    for dim in store.schema.ragged_dims:
        plan[f"offsets_{dim}"] = ((len(store) + 1,), np.dtype(np.int64))
    maps = _open_safetensors(out / "tensors.safetensors", plan)
    for view in views(store):
        _fill(view, {lead: maps[view.field.name + suffix] for lead, suffix in leads(view)})
    for dim in store.schema.ragged_dims:
        maps[f"offsets_{dim}"][:] = offsets(store, dim)
    describe(store, out, names)


def tensor_dtype(view: FieldView) -> np.dtype[Any]:
    """float16 stays float16 unless an exponent is in use; bfloat16 becomes float32, which holds it exactly."""
    return np.dtype(np.float16) if view.field.dtype == "float16" and not view.scaled else view.dtype


def views(store: Store) -> list[FieldView]:
    """All fields."""
    return [store.field(f.name) for f in store.schema.fields]


def leads(view: FieldView) -> list[tuple[tuple[int, ...], str]]:
    """Each place along the leading dims, and how its tensor's name ends (".layer_03")."""
    dims = view.field.dims[: view.field.axis]
    places = itertools.product(*(range(n) for n in view.field.leading))
    return [(p, "".join(f".{dim}_{i:02d}" for dim, i in zip(dims, p, strict=True))) for p in places]


def _shape(view: FieldView) -> tuple[int, ...]:
    return (view.shape[view.field.axis], *view.field.trailing)


def offsets(store: Store, dim: str) -> NDArray[np.int64]:
    """Where each row begins along a ragged dim, and the end of the last."""
    view = next(v for v in views(store) if v.field.stacking == dim)
    return np.concatenate([[0], np.cumsum(view.lengths())]).astype(np.int64)


def _fill(view: FieldView, targets: dict[tuple[int, ...], Any]) -> None:
    """Copy all rows, in order, into the tensors of each place."""
    raw = view.field.dtype == "float16" and not view.scaled
    at, lengths = 0, view.lengths()
    for block in blocks(lengths * view.entry_bytes, BLOCK_BYTES):
        values = view.read(rows=block, raw=raw)
        n = int(lengths[block].sum())
        for lead, target in targets.items():
            if n:
                target[at : at + n] = values[lead]
        at += n


def open_npy(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A new file as a memory map; None where it holds no number."""
    if 0 in shape:
        np.save(path, np.empty(shape, dtype))
        return None
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def _open_safetensors(path: Path, plan: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> dict[str, Any]:
    """Write the header of a safetensors file and map its tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    end = 0
    for name, (shape, dtype) in sorted(plan.items(), key=lambda item: -item[1][1].itemsize):  # keeps tensors aligned
        start, end = end, end + int(np.prod(shape)) * dtype.itemsize
        header[name] = {"dtype": _SAFE[dtype.name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    base = 8 + len(text)
    return {
        name: np.memmap(path, dtype, "r+", base + header[name]["data_offsets"][0], shape) if 0 not in shape else None
        for name, (shape, dtype) in plan.items()
    }


def file_stem(view: FieldView, suffix: str) -> str:
    """The name of a place's file without its ending; suffix: as `leads` gives it."""
    return view.field.name + suffix.replace(".", "/", 1).replace(".", "_")


def describe(store: Store, out: Path, tensors: dict[str, list[str]], pad: str | None = None) -> None:
    """Writes rows.parquet and metadata.json. tensors: the files, or names within one, of each field."""
    import pyarrow.parquet as pq

    pq.write_table(store.table(), out / "rows.parquet", compression="zstd")
    fields = {}
    for view in views(store):
        f = view.field
        fields[f.name] = {
            "dims": list(f.dims[f.axis :]), "leading_dims": list(f.dims[: f.axis]), "shape": list(_shape(view)),
            "dtype": tensor_dtype(view).name, "stored_dtype": f.dtype, "units": f.units, "description": f.description,
            "tensors": tensors[f.name],
        }  # fmt: skip
    document = {
        "rows": len(store), "fields": fields, "coords": store.schema.coords, "fingerprint": store.fingerprint,
        "fingerprint_sha256": fingerprint_hash(store.fingerprint), "provenance": store.provenance,
    } | ({} if pad is None else {"padding": pad})  # fmt: skip
    (out / "metadata.json").write_text(json.dumps(document, indent=1, ensure_ascii=False))
