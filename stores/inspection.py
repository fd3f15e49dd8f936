"""A summary of a store: rows, fields with sizes, parts, commits, orphans. Reads rows files only, no arrays."""

from __future__ import annotations

import os
from typing import Any

from .files import open_files
from .fingerprint import fingerprint_hash
from .reader import Store, open_store
from .segments import Segment
from .verify import orphans
from .writer import stored_fields


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Plain JSON: `rows`, `columns`, `fields` (shape, dtype, payload and stored bytes, ratio), `parts`, `commits`,
    `orphans`, ...

    `ratio` is stored / payload, exponents included in stored. `orphan_bytes` are torn, uncommitted files.
    """
    store = open_store(path)
    files, segments = open_files(path), store.segments
    left = orphans(files, segments)
    rows_bytes = sum(files.size(s.rows_rel) for s in segments)
    return {
        "path": os.fspath(path),
        "backend": store.backend,
        "created": store.created,
        "rows": len(store),
        "columns": {c.name: {"type": c.type, "description": c.description} for c in store.schema.columns},
        "fields": {f.name: _field(store, f.name) for f in store.schema.fields},
        "coords": store.schema.coords,
        "commits": len(segments),
        "parts": _parts(segments),
        "data_bytes": sum(file.size for s in segments for file in s.manifest.files.values()),
        "rows_bytes": rows_bytes,
        "orphans": [rel for rel, _ in left],
        "orphan_bytes": sum(size for _, size in left),
        "repeated_ids": len(store.repeated_ids),
        "fingerprint": store.fingerprint,
        "fingerprint_sha256": fingerprint_hash(store.fingerprint),
        "provenance": store.provenance,
    }


def _field(store: Store, name: str) -> dict[str, Any]:
    view = store.field(name)
    stored_names = [f.name for f in stored_fields(store.schema) if f.name in (name, f"{name}.exponent")]
    held = [s.manifest.fields for s in store.segments if name in s.manifest.fields]
    payload = sum(fields[name]["payload"] for fields in held)
    stored = sum(fields[part]["stored"] for fields in held for part in stored_names)
    return {
        "dims": list(view.field.dims),
        "shape": list(view.shape),
        "dtype": view.field.dtype,
        "units": view.field.units,
        "description": view.field.description,
        "payload_bytes": payload,
        "stored_bytes": stored,
        "ratio": stored / payload if payload else None,
    }


def _parts(segments: list[Segment]) -> dict[str, dict[str, int]]:
    parts: dict[str, dict[str, int]] = {}
    for segment in segments:
        entry = parts.setdefault(segment.part, {"commits": 0, "rows": 0})
        entry["commits"] += 1
        entry["rows"] += segment.manifest.rows
    return parts
