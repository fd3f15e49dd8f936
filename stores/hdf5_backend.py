"""Segments as HDF5 files: one chunked dataset per field, written once and closed. See docs/store-format.md.

Chunks are compressed in threads and handed over ready (`write_direct_chunk`); HDF5 itself reads them with hdf5plugin's
Blosc filter. Their CRC-32C lie in the manifest (in stores of version 1, in a dataset beside each): HDF5's own
Fletcher-32 takes half as long as the compression and misses 0x0000 against 0xffff. Our reader asks HDF5 only where the
chunks lie, so no HDF5 handle lives across a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .chunks import BIT_SHUFFLE, LEVEL, Layout, encode_chunks
from .errors import BackendMismatch, CorruptStore
from .files import Files, LocalFiles
from .hdf5_file import writing
from .segment_files import FieldPlan, Located, WrittenFiles

_CHECKSUMS = ".crc32c"


def segment_name(number: int) -> str:
    return f"arrays-{number:05d}.h5"


def write_segment(files: Files, base: str, plans: list[FieldPlan], attributes: dict[str, Any]) -> WrittenFiles:
    """Write the file at `base` (a new path). Returns its size and checksums, stored bytes and chunk checksums per
    field.
    """
    if not isinstance(files, LocalFiles):
        raise BackendMismatch(f"HDF5 can't be written to {files.locate('')}; use the zarr backend there.")
    written = WrittenFiles()
    with files.create(base) as block_file:
        with writing(block_file) as (file, steady):
            file.attrs.update(attributes)
            for plan in plans:
                written.stored[plan.name], written.chunks[plan.name] = _write_array(file, plan, steady.check)
        written.files[base] = block_file.finish()
    return written


def _write_array(file: Any, plan: FieldPlan, check: Callable[[], None]) -> tuple[int, list[int]]:
    """(stored bytes, CRC-32C of each chunk)"""
    import hdf5plugin

    layout = plan.layout
    options: dict[str, Any] = {}
    if layout.n_chunks:
        blosc = hdf5plugin.Blosc(cname="lz4", clevel=LEVEL, shuffle=BIT_SHUFFLE)
        options = {"chunks": layout.chunk_shape, "maxshape": layout.whole_chunks, **blosc}
    dataset = file.create_dataset(plan.name, shape=layout.shape, dtype=layout.dtype, fillvalue=plan.fill, **options)
    dataset.attrs.update(plan.attributes)
    for axis, dim in enumerate(plan.dims):
        dataset.dims[axis].label = dim
    checksums: list[int] = []
    stored = 0
    for frames in encode_chunks(layout, plan.fetch, plan.fill):
        for frame, checksum in frames:
            dataset.id.write_direct_chunk(layout.origin(len(checksums)), frame, 0)
            check()  # a full disk ends this here, not after compressing all the rest
            checksums.append(checksum)
            stored += len(frame)
    return stored, checksums


def locate_chunks(files: Files, base: str, name: str, layout: Layout) -> Located:
    """Where the chunks lie, from the file's chunk index. Raises CorruptStore if the file or a chunk is missing or
    damaged.
    """
    import h5py

    files.size(base)  # HDF5 would wait for a FIFO's other end; this refuses what is no file
    offsets = np.full(layout.n_chunks, -1, np.int64)
    sizes = np.zeros(layout.n_chunks, np.int64)
    strides = np.cumprod([1, *reversed((*layout.leading, layout.per_line)[1:])])[::-1]
    axis = len(layout.leading)

    def note(info: Any) -> None:
        place = (*info.chunk_offset[:axis], info.chunk_offset[axis] // layout.rows)
        linear = int(np.dot(place, strides))
        offsets[linear], sizes[linear] = info.byte_offset, info.size

    try:
        with h5py.File(files.locate(base), "r", locking=False) as file:
            if layout.n_chunks:
                file[name].id.chunk_iter(note)
            beside = file.get(name + _CHECKSUMS)  # in stores of version 1
            checksums = None if beside is None else beside[()].reshape(-1)
    except (OSError, KeyError, RuntimeError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise CorruptStore(
            f"{files.locate(base)}, {name}: {error}. Run `lit-experiments verify` on this store."
        ) from error
    if np.any(offsets < 0) or (checksums is not None and len(checksums) != layout.n_chunks):
        raise CorruptStore(f"{files.locate(base)}, {name} lacks a chunk. Run `lit-experiments verify` on this store.")
    return Located(base, offsets, sizes, checksums)


def field_of(base: str, rel: str) -> str | None:
    """One file holds all fields, so a file alone names none."""
    return None
