"""Segments as Zarr v3 groups: one sharded array per field, one shard file each, written in one go. See
docs/store-format.md.

Writing the shard here, not through zarr-python, lets chunks be compressed in threads, checksummed as they pass, and
streamed, at about the speed of a plain file (benchmarks/store.py). Any Zarr v3 reader opens the result; tests open it
with zarr-python.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .checksums import crc32c
from .chunks import LEVEL, Layout, encode_chunks
from .errors import CorruptStore
from .files import Files
from .segment_files import FieldPlan, Located, WrittenFiles

_EMPTY = np.uint64(2**64 - 1)


def segment_name(number: int) -> str:
    return f"arrays-{number:05d}.zarr"


def write_segment(files: Files, base: str, plans: list[FieldPlan], attributes: dict[str, Any]) -> WrittenFiles:
    """Write the group at `base` (a new path). Returns size and checksums of every file and stored bytes per field."""
    written = WrittenFiles()
    metadata = {}
    for plan in plans:
        metadata[plan.name] = _array_metadata(plan)
        before = written.total
        checksums = written.chunks.setdefault(plan.name, [])
        if plan.layout.n_chunks:
            key = f"{base}/{plan.name}/c" + ".0" * len(plan.layout.shape)
            written.files[key] = files.write(key, _shard(plan, checksums))
        written.stored[plan.name] = written.total - before
    for name, document in metadata.items():
        rel = f"{base}/{name}/zarr.json"
        written.files[rel] = files.write(rel, [_json(document)])
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": attributes,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": metadata},
    }
    rel = f"{base}/zarr.json"
    written.files[rel] = files.write(rel, [_json(group)])
    return written


def _shard(plan: FieldPlan, checksums: list[int]) -> Iterator[bytes]:
    """The shard's bytes: chunks in C order, then the index of (offset, size) and its checksum. Adds the chunks' own."""
    sizes: list[int] = []
    for frames in encode_chunks(plan.layout, plan.fetch, plan.fill):
        yield frames.data
        sizes += frames.sizes
        checksums += frames.checksums
    stored = np.array(sizes, "<u8") + 4
    index = np.stack([np.cumsum(stored) - stored, stored], axis=1)
    table = index.tobytes()
    yield table
    yield crc32c(table).to_bytes(4, "little")


def locate_chunks(files: Files, base: str, name: str, layout: Layout) -> Located:
    """Where the chunks lie, from the shard's index. Raises CorruptStore if it is missing, torn or names no chunk."""
    rel = f"{base}/{name}/c" + ".0" * len(layout.shape)
    tail = 16 * layout.n_chunks + 4
    size = files.size(rel)
    if size < tail:
        raise CorruptStore(f"{files.locate(rel)} ends early: {size} bytes. Run `lit-experiments verify` on this store.")
    data = files.read_range(rel, size - tail, tail)
    if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise CorruptStore(f"Checksum error in the chunk index of {files.locate(rel)}. Run `lit-experiments verify`.")
    index = np.frombuffer(data[:-4], "<u8").reshape(-1, 2)
    if np.any(index[:, 0] == _EMPTY):
        raise CorruptStore(f"{files.locate(rel)} lacks a chunk. Run `lit-experiments verify` on this store.")
    return Located(rel, index[:, 0].astype(np.int64), index[:, 1].astype(np.int64), None, trailer=4)


def field_of(base: str, rel: str) -> str | None:
    """The field whose data a segment's file holds; None for the group's own metadata."""
    inside = rel.removeprefix(base + "/").split("/")
    return inside[0] if len(inside) > 1 else None


def _array_metadata(plan: FieldPlan) -> dict[str, Any]:
    layout = plan.layout
    shards = max(1, layout.per_line) * layout.rows
    inner: list[dict[str, Any]] = [_endian(layout.dtype.itemsize), _blosc(layout.dtype.itemsize), {"name": "crc32c"}]
    sharding = {
        "chunk_shape": list(layout.chunk_shape),
        "codecs": inner,
        "index_codecs": [_endian(8), {"name": "crc32c"}],
        "index_location": "end",
    }
    fill: Any = plan.fill
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(layout.shape),
        "data_type": layout.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [*layout.leading, shards, *layout.trailing]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": "NaN" if isinstance(fill, float) and math.isnan(fill) else _plain(layout.dtype, fill),
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": plan.attributes,
        "dimension_names": list(plan.dims),
        "storage_transformers": [],
    }


def _plain(dtype: np.dtype[Any], fill: Any) -> Any:
    return bool(fill) if dtype.kind == "b" else int(fill)


def _endian(itemsize: int) -> dict[str, Any]:
    return {"name": "bytes", "configuration": {"endian": "little"}} if itemsize > 1 else {"name": "bytes"}


def _blosc(itemsize: int) -> dict[str, Any]:
    settings = {"typesize": itemsize, "cname": "lz4", "clevel": LEVEL, "shuffle": "bitshuffle", "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
