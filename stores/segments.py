"""One committed segment: what its manifest says of it, and where its chunks lie. Read only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .backends import Backend, backend
from .chunks import Layout
from .errors import CorruptStore
from .files import Files
from .rows import PARTS, Manifest, Place, read_rows
from .schema import Field
from .segment_files import Located
from .workers import pool

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Segment:
    """One committed segment of one part."""

    files: Files
    backend_name: str
    place: Place
    rows_name: str
    manifest: Manifest
    _located: dict[str, Located] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        return backend(self.backend_name)

    @property
    def part(self) -> str:
        return self.place.part

    @property
    def number(self) -> int:
        return self.place.number

    @property
    def folder(self) -> str:
        return f"{PARTS}/{self.part}"

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
        """Byte places of a field's chunks; read when first needed, then remembered.

        Their checksums are those of the commit, so chunks of other data don't pass, however whole they are. Raises
        CorruptStore.
        """
        if declared.name not in self._located:
            layout = self.layout(declared)
            located = self.backend.locate_chunks(self.files, self.base, declared.name, layout)
            known = self.manifest.chunk_checksums(declared.name)
            if known is not None:
                located = replace(located, checksums=known)
            self._check_places(located, layout)
            self._located[declared.name] = located
        return self._located[declared.name]

    def _check_places(self, located: Located, layout: Layout) -> None:
        """Chunks lie inside the file, and each has a checksum."""
        written = self.manifest.files.get(located.rel.removeprefix(f"{self.folder}/"))
        ends = located.offsets + located.sizes
        if (
            written is None
            or np.any((located.offsets < 0) | (located.sizes < located.trailer) | (ends > written.size))
            or (located.checksums is not None and len(located.checksums) != layout.n_chunks)
        ):
            where = self.files.locate(located.rel)
            raise CorruptStore(f"The chunk index of {where} is not as written. Run `lit-experiments verify`.")


def read_columns(segments: list[Segment], columns: list[str]) -> list[pa.Table]:
    """More columns of the same commits."""
    return list(pool().map(lambda s: read_columns_of(s, columns), segments))


def read_columns_of(segment: Segment, columns: list[str]) -> pa.Table:
    """Columns of one commit."""
    return read_rows(segment.files, segment.rows_rel, columns, segment.place)[0]
