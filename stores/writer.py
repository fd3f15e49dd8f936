"""The writer of one part: buffers batches, commits them as immutable segments. Data first, the rows file after: that
is the commit. The part's head comes last.

One writer per process and part; nothing it wrote is ever opened for writing again. Knows the schema and a backend, not
who collects.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import time
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import backend
from .checksums import BLOCK_BYTES
from .chunks import Fetch, Layout, Pieces, fill_value
from .errors import CorruptStore, LeaseLost, RecordError, StoreError, WriteFailed
from .fencing import part_name
from .files import Files, open_files
from .heads import OwnHead, update_heads
from .records import Encoded, Records, encode_records
from .rows import SEGMENT, Manifest, Place, encode_rows, length_column, offset_column, pack_checksums
from .schema import EXPONENT_SUFFIX, Field, Schema
from .segment_files import FieldPlan, WrittenFiles
from .store_file import read_header, require_current


def new_launch_name() -> str:
    """A name for one launch of a collection: UTC time and a random suffix, sorting by time."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ") + "-" + secrets.token_hex(3)


class PartWriter:
    """Append-only writer of one part of an existing store; a context manager.

    Batches are buffered until `flush_bytes` of payload have gathered or `flush_seconds` have passed since the first of
    them (checked at each `append`), then committed. Leaving the `with` block commits the rest, after an exception too,
    and lets the exception go on. The disk's refusal raises WriteFailed; what was committed stays valid and the writer
    takes no more.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rank: int,
        flush_bytes: int,
        flush_seconds: float,
        launch: str | None = None,
    ):
        self._files = open_files(path)
        header = read_header(self._files)
        require_current(header, self._files.locate(""))
        assert header.identity is not None
        self._header = header
        self._backend = backend(header.backend)
        self._flush_bytes, self._flush_seconds = flush_bytes, flush_seconds
        self.rows_committed = 0
        self.bytes_written = 0
        self.seconds_flushing = 0.0
        self._segment = 0
        self._closed = False
        self._empty_buffer()
        launch = launch or new_launch_name()
        try:
            if rank == 0:
                with contextlib.suppress(CorruptStore):  # a fault elsewhere is for readers and `verify` to name
                    update_heads(self._files, launch)
            self.part = _make_part(self._files, part_name(launch, rank))
            self._own_head = OwnHead(self._files, header.identity, self.part)
        except OSError as error:
            raise WriteFailed(f"Can't make a part in {self._files.locate('parts')}: {error}") from error

    def _empty_buffer(self) -> None:
        self._buffers: dict[int, list[Encoded]] = {}
        self._ids: set[tuple[int, str]] = set()
        self.bytes_buffered = 0
        self._since = 0.0

    def append(self, records: Records, piece: int = 0) -> None:
        """Take one batch; commit if enough has gathered. piece: which of an extended store's pieces it is of.

        Raises RecordError or NonFiniteError (the batch is then not taken, those before it stay) and WriteFailed.
        """
        if self._closed:
            raise StoreError(f"The writer of part {self.part} is closed.")
        encoded = encode_records(records, self._header.pieces[piece])
        ids = [(piece, row["sample_id"]) for row in records.rows]
        if len(set(ids)) < len(ids) or not self._ids.isdisjoint(ids):
            again = next(i for i in ids if i in self._ids or ids.count(i) > 1)
            raise RecordError(f"sample_id {again[1]!r} was given twice.")
        self._ids.update(ids)
        if not self._buffers:
            self._since = time.monotonic()
        self._buffers.setdefault(piece, []).append(encoded)
        self.bytes_buffered += encoded.nbytes
        if self.bytes_buffered >= self._flush_bytes or time.monotonic() - self._since >= self._flush_seconds:
            self.commit()

    def commit(self) -> None:
        """Make everything buffered durable, as one segment of each piece. Does nothing if nothing is buffered."""
        if not self._ids:
            return
        if self._closed:
            raise StoreError(f"The writer of part {self.part} is closed.")
        try:
            for piece in sorted(self._buffers):
                self._commit(piece)
            self._empty_buffer()
        except LeaseLost:
            self._closed = True
            raise
        except (OSError, WriteFailed) as error:
            self._closed = True
            place = self._files.locate(f"parts/{self.part}")
            remedy = "Make room and run again" if self._files.is_local else "Run again when the server takes them"
            raise WriteFailed(
                f"Writing to {place} failed: {error}. The {self.rows_committed} rows this writer committed are whole. "
                f"{remedy}: it continues from them."
            ) from error

    def _commit(self, piece: int) -> None:
        self._own_head.require_open()
        schema, batches = self._header.pieces[piece], self._buffers[piece]
        number, folder = self._segment, f"parts/{self.part}"
        self._segment += 1  # an interrupted attempt keeps its number; a second one starts afresh
        base = f"{folder}/{self._backend.segment_name(number)}"
        plans = _plan_segment(schema, batches)
        written = self._backend.write_segment(self._files, base, plans, {"lit_experiments_segment": number})
        started = time.perf_counter()
        self._files.sync(list(written.files))
        self.seconds_flushing += time.perf_counter() - started
        table = _with_places(number, batches, schema)
        name, data = encode_rows(table, self._manifest(number, piece, len(table), written, plans), number)
        self._files.publish(f"{folder}/{name}", data)
        if self._own_head.head.fenced:
            self._own_head.advance(name, len(table))  # that is the commit
        self.rows_committed += len(table)
        self.bytes_written += written.total + len(data)
        if not self._own_head.head.fenced:
            self._own_head.advance(name, len(table))

    def _manifest(self, number: int, piece: int, rows: int, written: WrittenFiles, plans: list[FieldPlan]) -> Manifest:
        prefix = f"parts/{self.part}/"
        files = {rel.removeprefix(prefix): file for rel, file in written.files.items()}
        fields = {}
        for plan in plans:
            fields[plan.name] = {
                "length": plan.layout.length,
                "chunk_rows": plan.layout.rows,
                "payload": plan.layout.nbytes,
                "stored": written.stored[plan.name],
                "all_zero": _all_zero(plan.name, self._buffers[piece]),
                "crc32c": pack_checksums(written.chunks[plan.name]),
            }
        head = self._own_head.head
        manifest = Manifest(Place(head.store, self.part, number), rows, head.last, files, fields, BLOCK_BYTES)
        return replace(manifest, piece=piece, extensions=len(self._header.extensions))

    def close(self) -> None:
        """Commit what is buffered and take no more."""
        if not self._closed:
            self.commit()
            self._closed = True

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        if self._closed:
            return
        try:
            self.close()
        except WriteFailed as failure:  # the exception under way is the one to be raised; this one is told with it
            error.add_note(str(failure))


def _make_part(files: Files, base: str) -> str:
    """A part folder that nobody else has. On an object store its head makes the part, under just that name."""
    if not files.is_local:
        return base
    name, attempt = base, 1
    while not files.make_folder(f"parts/{name}"):
        attempt += 1
        name = f"{base}-{attempt}"
    return name


def stored_fields(schema: Schema) -> list[Field]:
    """Fields and their exponent companions, in writing order."""
    pairs = ((f, f.exponent_field()) for f in schema.fields)
    return [field for pair in pairs for field in pair if field is not None]


def _plan_segment(schema: Schema, batches: list[Encoded]) -> list[FieldPlan]:
    plans = []
    for declared in stored_fields(schema):
        pieces = Pieces([batch.arrays[declared.name] for batch in batches], declared.axis)
        plans.append(plan_field(declared, pieces.length, pieces.fetch))
    return plans


def plan_field(declared: Field, length: int, fetch: Fetch) -> FieldPlan:
    """The plan of one array with `length` entries along its stacking dim, described for other readers."""
    attributes: dict[str, Any] = {"units": declared.units, "description": declared.description}
    if declared.dtype == "bfloat16":
        attributes["encoding"] = "bfloat16"
    layout = Layout.plan(declared, length)
    return FieldPlan(declared.name, declared.dims, layout, fetch, fill_value(declared.dtype), attributes)


def _with_places(number: int, batches: list[Encoded], schema: Schema) -> Any:
    """The batches' rows as one table, with the columns that say where each row's values lie."""
    import pyarrow as pa

    table = pa.concat_tables([batch.table for batch in batches])
    table = table.append_column(SEGMENT, pa.array(np.full(len(table), number, np.int32)))
    for dim in schema.ragged_dims:
        lengths: NDArray[np.int64] = np.concatenate([batch.lengths[dim] for batch in batches])
        table = table.append_column(offset_column(dim), pa.array(np.cumsum(lengths) - lengths))
        table = table.append_column(length_column(dim), pa.array(lengths))
    return table


def _all_zero(name: str, batches: list[Encoded]) -> bool:
    """Exponents are almost always all zero; saying so in the manifest spares readers from reading them."""
    return name.endswith(EXPONENT_SUFFIX) and not any(batch.arrays[name].any() for batch in batches)
