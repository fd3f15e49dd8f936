"""Re-reads every byte of a store and says what isn't as it was written. Changes nothing.

store.json is checked by its own checksum, rows files by the checksum in their name, the chain of commits by the names
in their manifests, all other files by size and block checksums in the manifest. Where a file is damaged, the chunks
that fail are named.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .checksums import file_checksums
from .chunks import decode_chunk
from .errors import CorruptStore, StoreError
from .files import Files, open_files
from .row_index import repeated_ids
from .rows import read_rows
from .schema import Field, Schema
from .segments import Segment, list_commits, open_segment
from .store_file import STORE_JSON, read_header
from .workers import map_ordered
from .writer import stored_fields


@dataclass(frozen=True)
class Problem:
    """Something wrong. `path` is the file, `what` says what was found, with field and chunk where that can be told."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def verify(path: str | os.PathLike[str]) -> list[Problem]:
    """Check everything; an empty list means that all is as written. Torn, uncommitted segments are no problem.

    Raises NotAStore where there is no store.json.
    """
    files = open_files(path)
    try:
        header = read_header(files)
    except StoreError as error:
        if not files.exists(STORE_JSON):
            raise
        return [Problem(files.locate(STORE_JSON), str(error))]
    segments, problems = [], []
    for part, name, number in list_commits(files):
        try:
            segments.append(open_segment(files, header.backend, part, name, number))
        except CorruptStore as error:
            problems.append(Problem(files.locate(f"parts/{part}/{name}"), str(error)))
    problems += _check_chain(segments)
    for segment in segments:
        problems += _check_segment(segment, header.schema)
    return problems + _check_ids(segments)


def _check_chain(segments: list[Segment]) -> Iterator[Problem]:
    """Each commit names the one before it; a lost one leaves a gap (a lost last one looks like work not done)."""
    for _, group in itertools.groupby(segments, key=lambda s: s.part):
        commits = list(group)
        names = {s.rows_name for s in commits}
        for segment in commits:
            before = segment.manifest.previous
            if before is not None and before not in names:
                rel = f"{segment.folder}/{before}"
                if not segment.files.exists(rel):
                    yield Problem(segment.files.locate(rel), f"missing, though {segment.rows_name} follows it")


def _check_segment(segment: Segment, schema: Schema) -> Iterator[Problem]:
    """Size and checksums of each file of a segment."""
    files = segment.files
    for name, written in sorted(segment.manifest.files.items()):
        rel = f"{segment.folder}/{name}"
        try:
            found = files.size(rel)
        except FileNotFoundError:
            yield Problem(files.locate(rel), "missing")
            continue
        if found != written.size:
            yield Problem(files.locate(rel), f"has {found} bytes, {written.size} were written")
            continue
        actual = file_checksums(files, rel, found, segment.manifest.checksum_block)
        bad = [block for block, (a, b) in enumerate(zip(actual, written.blocks, strict=True)) if a != b]
        if bad:
            yield Problem(files.locate(rel), _describe(segment, schema, rel, bad))


def _describe(segment: Segment, schema: Schema, rel: str, blocks: list[int]) -> str:
    """Which bytes, and which chunks among them."""
    step = segment.manifest.checksum_block
    ranges = ", ".join(f"{b * step}-{(b + 1) * step - 1}" for b in blocks[:4])
    what = f"checksum error within bytes {ranges}{' and more' if len(blocks) > 4 else ''}"
    owner = segment.backend.field_of(segment.base, rel)
    chunks = []
    for declared in stored_fields(schema):
        if owner in (None, declared.name):
            chunks += _bad_chunks(segment, schema, declared, rel)
    return what + ("; " + "; ".join(chunks[:8]) if chunks else "; in metadata, no chunk's values are affected")


def _bad_chunks(segment: Segment, schema: Schema, declared: Field, rel: str) -> list[str]:
    """Descriptions of a field's chunks that fail their own checksums."""
    try:
        layout, located = segment.layout(declared), segment.locate(declared)
    except StoreError as error:
        return [f"field {declared.name!r}: its chunks can't be found: {error}"]
    if located.rel != rel:
        return []

    def check(chunk: int) -> str | None:
        out = np.empty(layout.chunk_shape, layout.dtype)
        at, size = int(located.offsets[chunk]), int(located.sizes[chunk])
        start = layout.origin(chunk)
        names = [schema.label(dim, i) for dim, i in zip(declared.dims, start, strict=True)][: len(layout.leading) + 1]
        where = f"field {declared.name!r}, chunk at {', '.join(names)}"
        try:
            frame = located.frame(chunk, np.frombuffer(segment.files.read_range(rel, at, size), np.uint8))
            decode_chunk(*frame, out, lambda: where)
        except CorruptStore:
            return where
        return None

    return [found for found in map_ordered(check, range(layout.n_chunks)) if found]


def _check_ids(segments: list[Segment]) -> list[Problem]:
    """Samples that two commits name."""
    tables = [(s, read_rows(s.files, s.rows_rel, ["sample_id"])[0]) for s in segments]
    return [
        Problem(segments[at].files.locate(segments[at].rows_rel), f"sample {name!r} was committed before; not shown")
        for name, at in repeated_ids([table.column("sample_id") for _, table in tables])
    ]


def orphans(files: Files, segments: list[Segment]) -> list[tuple[str, int]]:
    """(path, bytes) of files under parts/ that no commit names: torn segments and temporary files."""
    named = {s.rows_rel for s in segments} | {f"{s.folder}/{name}" for s in segments for name in s.manifest.files}
    return [(rel, size) for rel, size in files.walk("parts") if rel not in named]
