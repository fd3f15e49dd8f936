"""A commit's rows file: metadata of its rows as Parquet, and the segment's manifest in the Parquet schema's metadata.

The file's name carries the CRC-32C of its content, so that no byte of it can change unnoticed, and the manifest says
which store, part and segment it was written for. Owns names, columns and their types.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .checksums import BLOCK_DIGEST, FileChecksums, crc32c
from .errors import CorruptStore, NewerFormat, RecordError
from .files import Files
from .schema import RESERVED_COLUMNS, Column, Schema, nearest

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 4
_PLAIN_VERSION = 3  # of commits to stores that were never extended: programs that know no extensions read these, too
_VERSION_1_BLOCK = 16 << 20
_MANIFEST = b"lit-experiments-manifest"
_NAME = re.compile(r"rows-(\d{5,})-([0-9a-f]{8})\.parquet\Z")
SEGMENT = "_segment"
PARTS = "parts"


def offset_column(dim: str) -> str:
    return f"_offset_{dim}"


def length_column(dim: str) -> str:
    return f"_length_{dim}"


@dataclass(frozen=True)
class Place:
    """Where a commit belongs: the store (`Header.identity`; None in stores of version 1), the part, the segment."""

    store: str | None
    part: str
    number: int


class ForeignCommit(CorruptStore):
    """A commit that lies where it was not written for. `store` is the one that it names."""

    def __init__(self, message: str, store: str | None):
        super().__init__(message)
        self.store = store


@dataclass(frozen=True)
class Manifest:
    """What a commit vouches for. `files`: path within the part -> size, digest (`function`) of each `checksum_block`
    bytes. `fields`: stored name -> its layout and its chunks' checksums.

    `previous` names the part's commit before this one, so that a lost rows file is noticed. `place` is None in
    manifests before version 3, which name none. `piece` says which of the store's pieces (pieces.py) the fields are,
    `extensions` how many extensions the store had, so that a lost one is noticed.
    """

    place: Place | None
    rows: int
    previous: str | None
    files: dict[str, FileChecksums]
    fields: dict[str, dict[str, Any]]
    checksum_block: int
    function: str = BLOCK_DIGEST
    piece: int = 0
    extensions: int = 0

    def to_json(self) -> str:
        assert self.place is not None
        place = {"store": self.place.store, "part": self.place.part, "segment": self.place.number}
        head = {"version": _PLAIN_VERSION, **place, "rows": self.rows, "previous": self.previous}
        if self.extensions:
            head |= {"version": VERSION, "piece": self.piece, "extensions": self.extensions}
        files = {rel: {"size": file.size, self.function: file.blocks} for rel, file in self.files.items()}
        return json.dumps({**head, "checksum_block": self.checksum_block, "files": files, "fields": self.fields})

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Manifest:
        """Raises NewerFormat for a later version."""
        data = json.loads(text)
        if data["version"] > VERSION:
            raise NewerFormat(
                f"{where} has format version {data['version']}; this program reads up to {VERSION}. Update it."
            )
        block = data.get("checksum_block", _VERSION_1_BLOCK)
        if data["version"] < 3:
            files = {
                rel: FileChecksums(f["size"], [f"{c:08x}" for c in f["crc32c"]]) for rel, f in data["files"].items()
            }
            return cls(None, data["rows"], data["previous"], files, data["fields"], block, "crc32c")
        files = {rel: FileChecksums(f["size"], f[BLOCK_DIGEST]) for rel, f in data["files"].items()}
        place = Place(data["store"], data["part"], data["segment"])
        pieces = {"piece": data.get("piece", 0), "extensions": data.get("extensions", 0)}
        return cls(place, data["rows"], data["previous"], files, data["fields"], block, **pieces)

    def chunk_checksums(self, name: str) -> NDArray[np.uint32] | None:
        """CRC-32C of each chunk's frame of a stored field, in C order of the grid; None before version 3."""
        packed = self.fields[name].get("crc32c")
        if packed is None:
            return None
        try:
            return np.frombuffer(base64.b64decode(packed, validate=True), "<u4")
        except ValueError as error:
            raise CorruptStore(f"The checksums of field {name!r} are not as written: {error}.") from error

    def check_place(self, expected: Place, where: str) -> None:
        """Raise ForeignCommit unless the commit was written for this store, part and segment."""
        if self.place is None and expected.store is None:
            return
        store = None if self.place is None else self.place.store
        if self.place is None or store != expected.store:
            raise ForeignCommit(f"{where} was committed to another store. Copying parts together is no merge.", store)
        if self.place.part != expected.part:
            message = f"{where} was committed to part {self.place.part!r}: it was copied or renamed."
            raise ForeignCommit(f"{message} Copying parts together is no merge.", store)
        if self.place.number != expected.number:
            raise ForeignCommit(f"{where} was committed as segment {self.place.number}: it was renamed.", store)


def pack_checksums(checksums: list[int]) -> str:
    """As the manifest holds them: little-endian uint32, in base64."""
    return base64.b64encode(np.array(checksums, "<u4").tobytes()).decode()


def parse_name(name: str) -> tuple[int, int] | None:
    """(segment number, CRC-32C) if this is the name of a rows file."""
    match = _NAME.match(name)
    return (int(match[1]), int(match[2], 16)) if match else None


def encode_rows(table: pa.Table, manifest: Manifest, number: int) -> tuple[str, bytes]:
    """(file name, content) of a commit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    tagged = table.replace_schema_metadata({_MANIFEST: manifest.to_json()})
    pq.write_table(tagged, sink, compression="zstd", write_page_checksum=True)
    data = sink.getvalue().to_pybytes()
    return f"rows-{number:05d}-{crc32c(data):08x}.parquet", data


def read_rows(files: Files, rel: str, columns: list[str] | None, place: Place) -> tuple[pa.Table, Manifest]:
    """A commit's columns (None: all) and manifest.

    Raises CorruptStore if a byte of the file isn't what was written, ForeignCommit if it was written for another place.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = files.locate(rel)
    parsed = parse_name(rel.rpartition("/")[2])
    data = files.read(rel)
    if parsed is None or crc32c(data) != parsed[1]:
        raise CorruptStore(f"{where} is damaged: its content doesn't match its name. Run `lit-experiments verify`.")
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        manifest = Manifest.from_json(file.schema_arrow.metadata[_MANIFEST], where)
        manifest.check_place(place, where)
        return file.read(columns=columns, use_threads=False), manifest
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CorruptStore(f"{where} is no rows file of this format: {error}.") from error


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a column; JSON is stored as text."""
    import pyarrow as pa

    plain = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "json": pa.string(),
    }
    if column.type in plain:
        return plain[column.type]
    return pa.list_(plain[column.type.removeprefix("list<").removesuffix(">")])


def arrow_schema(schema: Schema) -> pa.Schema:
    """sample_id, sample_index and the user's columns."""
    import pyarrow as pa

    fixed = [pa.field("sample_id", pa.string(), nullable=False), pa.field("sample_index", pa.int64(), nullable=False)]
    return pa.schema([*fixed, *(pa.field(c.name, arrow_type(c)) for c in schema.columns)])


def check_row(row: dict[str, Any], schema: Schema) -> None:
    """Raise RecordError unless the row has exactly the declared columns and a usable sample_id and sample_index."""
    names = {*RESERVED_COLUMNS, *(c.name for c in schema.columns)}
    who = f"Row {row.get('sample_id', '(no sample_id)')!r}"
    missing, unknown = names - row.keys(), row.keys() - names
    if missing:
        raise RecordError(f"{who} lacks {', '.join(sorted(missing))}; give None where there is no value.")
    if unknown:
        name = min(unknown)
        raise RecordError(f"{who} has an undeclared column {name!r}{nearest(name, names)}; declared: {sorted(names)}.")
    if not isinstance(row["sample_id"], str) or not row["sample_id"]:
        raise RecordError(f"{who}: sample_id must be a non-empty string.")
    index = row["sample_index"]
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise RecordError(f"{who}: sample_index must be an integer, found {index!r}.")


def build_table(rows: list[dict[str, Any]], schema: Schema) -> pa.Table:
    """Rows as an Arrow table of the schema's types. Raises RecordError naming the column and row that don't fit."""
    import pyarrow as pa

    target = arrow_schema(schema)
    kinds = {c.name: c.type for c in schema.columns}
    arrays = []
    for item in target:
        values = [row[item.name] for row in rows]
        if kinds.get(item.name) == "json":
            values = [_to_json(row, item.name) for row in rows]
        try:
            arrays.append(pa.array(values, item.type))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise RecordError(_misfit(rows, item, error)) from error
    return pa.Table.from_arrays(arrays, schema=target)


def _to_json(row: dict[str, Any], name: str) -> str | None:
    if row[name] is None:
        return None
    try:
        return json.dumps(row[name], ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"Row {row['sample_id']!r}, column {name!r}: not JSON: {error}.") from error


def _misfit(rows: list[dict[str, Any]], item: pa.Field, error: Exception) -> str:
    import pyarrow as pa

    for row in rows:
        try:
            pa.array([row[item.name]], item.type)
        except (pa.ArrowException, TypeError, OverflowError):
            value = f"{row[item.name]!r:.80}"
            return f"Row {row['sample_id']!r}, column {item.name!r}: {value} is no {item.type}."
    return f"Column {item.name!r}: {error}"
