"""The commits of a store: finds them, reads their rows files, and knows where the chunks of each segment lie. Read
only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .backends import Backend, Located, backend
from .chunks import Layout
from .errors import CorruptStore
from .files import Files
from .rows import Manifest, parse_name, read_rows
from .schema import Field
from .workers import pool

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Segment:
    """One committed segment of one part."""

    files: Files
    backend_name: str
    part: str
    number: int
    rows_name: str
    manifest: Manifest
    _located: dict[str, Located] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        return backend(self.backend_name)

    @property
    def folder(self) -> str:
        return f"parts/{self.part}"

    @property
    def base(self) -> str:
        return f"{self.folder}/{self.backend.segment_name(self.number)}"

    @property
    def rows_rel(self) -> str:
        return f"{self.folder}/{self.rows_name}"

    def layout(self, declared: Field) -> Layout:
        """Shape and chunking of a field here, from the manifest."""
        try:
            entry = self.manifest.fields[declared.name]
        except KeyError:
            raise CorruptStore(f"{self.files.locate(self.rows_rel)} has no field {declared.name!r}.") from None
        return Layout(declared.leading, entry["length"], declared.trailing, entry["chunk_rows"], declared.stored_dtype)

    def locate(self, declared: Field) -> Located:
        """Byte places of a field's chunks; read when first needed, then remembered."""
        if declared.name not in self._located:
            layout = self.layout(declared)
            self._located[declared.name] = self.backend.locate_chunks(self.files, self.base, declared.name, layout)
        return self._located[declared.name]


def list_commits(files: Files) -> list[tuple[str, str, int]]:
    """(part, rows file name, segment number) of every commit, in order of part name and number."""
    found = []
    for part in files.names("parts"):
        for name in files.names(f"parts/{part}"):
            parsed = parse_name(name)
            if parsed:
                found.append((part, name, parsed[0]))
    return sorted(found, key=lambda commit: (commit[0], commit[2], commit[1]))


def read_commits(files: Files, backend_name: str, columns: list[str]) -> tuple[list[Segment], list[pa.Table]]:
    """All segments with the given columns of their rows, read in parallel. Raises CorruptStore for a damaged rows
    file.
    """
    commits = list_commits(files)
    results = list(pool().map(lambda commit: read_rows(files, f"parts/{commit[0]}/{commit[1]}", columns), commits))
    segments = [
        Segment(files, backend_name, part, number, name, manifest)
        for (part, name, number), (_, manifest) in zip(commits, results, strict=True)
    ]
    return segments, [table for table, _ in results]


def open_segment(files: Files, backend_name: str, part: str, name: str, number: int) -> Segment:
    """One commit, its rows file checked. Raises CorruptStore."""
    _, manifest = read_rows(files, f"parts/{part}/{name}", [])
    return Segment(files, backend_name, part, number, name, manifest)


def read_columns(segments: list[Segment], columns: list[str]) -> list[pa.Table]:
    """More columns of the same commits."""
    return list(pool().map(lambda s: read_rows(s.files, s.rows_rel, columns)[0], segments))
