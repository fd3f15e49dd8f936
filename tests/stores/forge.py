"""A store's rows, changed, in a new store whose every checksum is right: what no checksum can find."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import stores


def read_all(store: stores.Store) -> stores.Records:
    """All rows with their arrays as they are stored, float16 with its exponents."""
    rows = store.table().to_pylist()
    texts = [column.name for column in store.schema.columns if column.type == "json"]
    for row in rows:
        row |= {name: None if row[name] is None else json.loads(row[name]) for name in texts}
    fields = store.schema.fields
    arrays = {field.name: store[field.name].read(raw=True) for field in fields}
    lengths = {field.stacking: store[field.name].lengths() for field in fields if field.ragged}
    exponents = {field.name: store[field.name].exponents() for field in fields if field.dtype == "float16"}
    return stores.Records(rows, arrays, lengths, exponents)


def forge(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    edit: Callable[[stores.Records], None],
    provenance: dict | None = None,
) -> Path:
    """Writes the rows of `source`, after `edit` has changed them in place, as a new store; returns its path."""
    store = stores.open_store(source)
    held = read_all(store)
    edit(held)
    stores.create_store(target, store.schema, store.fingerprint, provenance or store.provenance, store.backend)
    with stores.PartWriter(target, 0, 1 << 40, 1e9) as writer:
        writer.append(held)
    return Path(target)
