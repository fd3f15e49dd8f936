"""Ragged fields as plain NumPy files without offsets: one array per field that is padded with zeros, or one per row.

Written through memory maps, a block of rows at a time: memory does not grow with rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field_view import FieldView
from ..reader import Store
from ..selection import blocks
from .tensors import BLOCK_BYTES, describe, file_stem, leads, offsets, open_npy, tensor_dtype, views, write_stacked


def export_padded(store: Store, out: Path, pad: str) -> None:
    """Writes `<field>.npy` or `<field>/<dim>_<index>.npy` for each place along the dims before the stacking one.

    A ragged field's array is [row, longest, ...], its rows filled up with zeros on the side that `pad` names;
    `mask_<dim>.npy`, bool [row, longest], is true where values are. With "none" it is a folder of that name, with one
    array `row_<number>.npy` [length, ...] for each row. Fields by sample are written as in every npy export.
    """
    out.mkdir()
    files: dict[str, list[str]] = {}
    for view in views(store):
        stems = {lead: file_stem(view, suffix) for lead, suffix in leads(view)}
        if not view.field.ragged:
            files[view.field.name] = write_stacked(view, out)
        elif pad == "none":
            files[view.field.name] = [f"{stem}/row_*.npy" for stem in stems.values()]
            _write_rows(view, {lead: out / stem for lead, stem in stems.items()})
        else:
            files[view.field.name] = [f"{stem}.npy" for stem in stems.values()]
            _write_padded(view, {lead: out / f"{stem}.npy" for lead, stem in stems.items()}, pad)
    for dim in store.schema.ragged_dims:
        lengths = np.diff(offsets(store, dim))
        np.save(out / f"lengths_{dim}.npy", lengths)
        if pad != "none":
            np.save(out / f"mask_{dim}.npy", padding_mask(lengths, pad))
    describe(store, out, files, pad)


def padding_mask(lengths: NDArray[np.int64], pad: str) -> NDArray[np.bool_]:
    """[row, longest] where a padded array has values."""
    column, longest = np.arange(lengths.max(initial=0)), lengths.max(initial=0)
    return column >= longest - lengths[:, None] if pad == "left" else column < lengths[:, None]


def _write_padded(view: FieldView, paths: dict[tuple[int, ...], Path], pad: str) -> None:
    lengths = view.lengths()
    mask = padding_mask(lengths, pad)
    shape = (*mask.shape, *view.field.trailing)
    targets: dict[tuple[int, ...], Any] = {}
    for lead, path in paths.items():
        path.parent.mkdir(exist_ok=True)
        targets[lead] = open_npy(path, shape, tensor_dtype(view))
    if 0 in shape:
        return
    padded_bytes = np.full(len(mask), mask.shape[1] * view.entry_bytes)
    for block in blocks(padded_bytes, BLOCK_BYTES):
        values = view.read(rows=block, raw=_is_raw(view))
        for lead, target in targets.items():
            padded = np.zeros((len(mask[block]), *shape[1:]), target.dtype)
            padded[mask[block]] = values[lead]
            target[block] = padded


def _write_rows(view: FieldView, folders: dict[tuple[int, ...], Path]) -> None:
    lengths = view.lengths()
    for folder in folders.values():
        folder.mkdir(parents=True)
    row = 0
    for block in blocks(lengths * view.entry_bytes, BLOCK_BYTES):
        values = view.read(rows=block, raw=_is_raw(view))
        ends = np.cumsum(lengths[block])
        for start, end in zip((ends - lengths[block]).tolist(), ends.tolist(), strict=True):
            for lead, folder in folders.items():
                np.save(folder / f"row_{row:06d}.npy", values[lead][start:end].astype(tensor_dtype(view), copy=False))
            row += 1


def _is_raw(view: FieldView) -> bool:
    """Whether values are written as they are stored."""
    return view.field.dtype == "float16" and not view.scaled
