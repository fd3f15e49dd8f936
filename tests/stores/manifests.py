"""Puts other manifests and headers in place of a store's own, as an earlier or a later program would have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stores
from stores import sealed
from stores.rows import encode_rows, read_rows
from stores.segments import Segment


class _Verbatim:
    """A manifest of given text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def to_json(self) -> str:
        return self._text


def rewrite_manifest(path: str | Path, change: Callable[[Segment], dict[str, Any]]) -> None:
    """Put `change(segment)`, an object for JSON, in place of the manifest of a store's only commit."""
    (segment,) = stores.open_store(path).segments
    table, _ = read_rows(segment.files, segment.rows_rel, None, segment.place)
    name, data = encode_rows(table, _Verbatim(json.dumps(change(segment))), 0)
    folder = Path(path) / segment.folder
    (folder / segment.rows_name).unlink()
    (folder / name).write_bytes(data)


def make_version_1(path: str | Path) -> None:
    """Put a store.json of version 1 in place, which knows no heads."""
    file = Path(path) / "store.json"
    document = json.loads(file.read_text())
    del document["id"], document["checksum"]
    file.write_bytes(sealed.seal({**document, "version": 1}))
