"""Re-reads every byte of a store and says what isn't as it was written. Changes nothing.

store.json and the heads of parts are checked by their own checksums, rows files by the checksum in their name and by
the place that their manifests name, the log by its chain and its heads (log.py), all other files by size and block
checksums in the manifest. Where a file is damaged, the chunks that fail are named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from .checksums import file_checksums
from .chunks import decode_chunk
from .errors import CorruptStore, NotAStore, Problem, StoreError
from .files import Files, open_files
from .log import read_log
from .row_index import repeated_ids
from .schema import Field, Schema
from .segments import Segment
from .store_file import STORE_JSON, read_header
from .workers import map_ordered
from .writer import stored_fields


def verify(path: str | os.PathLike[str]) -> list[Problem]:
    """Check everything; an empty list means that all is as written. Torn, uncommitted segments are no problem.

    In stores of version 1 nothing says which store, part and segment a commit belongs to, nor how many commits a part
    has, so commits that were lost at the end of a part or put in from elsewhere aren't found there. Raises NotAStore
    where there is no store.
    """
    files = open_files(path)
    try:
        header = read_header(files)
    except StoreError as error:
        if isinstance(error, NotAStore) and not files.exists(STORE_JSON):
            raise
        return [Problem(files.locate(STORE_JSON), str(error))]
    log = read_log(files, header, ["sample_id"])
    problems = log.problems
    known = [number for number, segment in enumerate(log.segments) if segment.manifest.piece < len(header.pieces)]
    log.segments, log.tables = [log.segments[n] for n in known], [log.tables[n] for n in known]
    for segment in log.segments:
        problems += _check_segment(segment, header.pieces[segment.manifest.piece])
    for piece in range(len(header.pieces)):
        mine = [number for number, segment in enumerate(log.segments) if segment.manifest.piece == piece]
        repeated = repeated_ids([log.tables[number].column("sample_id") for number in mine])
        problems += [_repeated(log.segments[mine[at]], name) for name, at in repeated]
    return problems


def _repeated(segment: Segment, name: str) -> Problem:
    return Problem(segment.files.locate(segment.rows_rel), f"sample {name!r} was committed before; not shown")


def _check_segment(segment: Segment, schema: Schema) -> Iterator[Problem]:
    """Size and checksums of each file of a segment."""
    files = segment.files
    for name, written in sorted(segment.manifest.files.items()):
        rel = f"{segment.folder}/{name}"
        try:
            size = files.size(rel)
            if size != written.size:
                yield Problem(files.locate(rel), f"has {size} bytes, {written.size} were written")
                continue
            actual = file_checksums(files, rel, size, segment.manifest.checksum_block, segment.manifest.function)
        except CorruptStore as error:
            yield Problem(files.locate(rel), str(error))
            continue
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

    return [place for place in map_ordered(check, range(layout.n_chunks)) if place]


def orphans(files: Files, segments: list[Segment]) -> list[tuple[str, int]]:
    """(path, bytes) of files under parts/ that no commit names: torn segments and temporary files."""
    named = {s.rows_rel for s in segments} | {f"{s.folder}/{name}" for s in segments for name in s.manifest.files}
    return [(rel, size) for rel, size in files.walk("parts") if rel not in named]
