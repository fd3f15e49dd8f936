"""The certificate of a store: one hash over its content, whatever devices, commits, chunks or backend it came by.

Content is the schema, the fingerprint, and every shown row in order with its arrays' values and its columns. The tree
(SHA-256 throughout) has four levels; docs/certificate.md gives it byte by byte:

  row     one row's values along one line, or one row's cell of one column
  block   BLOCK_ROWS rows that follow each other: their hashes, lengths and scale marks
  line    all blocks of one index along a field's leading dims (of one layer, say), or of one column
  root    canonical JSON of schema, fingerprint, number of rows, and all lines' hashes

Rows are hashed in the order in which they lie on disk, so every chunk is read once and memory holds 32 bytes a row
besides a few blocks of values. Knows no model and no run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .encoding import decode_float16, encode_float16
from .errors import StoreError
from .field_view import FieldView
from .fingerprint import canonical_json, fingerprint_hash
from .rows import read_rows
from .segments import Segment
from .workers import map_ordered

if TYPE_CHECKING:
    import pyarrow as pa

    from .reader import Store

FORMAT, VERSION = "lit-experiments-certificate", 1
BLOCK_ROWS = 256
_READ_BYTES = 4 << 20  # values of one task: some 30 chunks, so that few are cut by a task's ends and read twice
_COLUMN_BYTES = 128 << 20  # row hashes of as many columns are held at once
_SIZE = hashlib.sha256().digest_size

Digests = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """One tree of rows: `name` says of which field and place, or which column; `blocks`: the hash of each block."""

    name: str
    digest: str
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """What a store's content hashes to. `root` covers everything else here; all hashes are SHA-256 in hex."""

    root: str
    rows: int
    schema: str
    fingerprint: str
    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the inverse of `from_json`."""
        return {"format": FORMAT, "version": VERSION, "block_rows": BLOCK_ROWS, **asdict(self)}

    @classmethod
    def from_json(cls, content: Any) -> Certificate:
        """Raises StoreError for anything that `to_json` did not write, and where the parts do not give the root."""
        try:
            if (content["format"], content["version"], content["block_rows"]) != (FORMAT, VERSION, BLOCK_ROWS):
                raise ValueError(f"format {content['format']!r}, version {content['version']!r}")
            lines = [Line(line["name"], line["digest"], tuple(line["blocks"])) for line in content["lines"]]
            certificate = _rooted(content["rows"], content["schema"], content["fingerprint"], lines)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"This is no certificate of version {VERSION}: {error!r}.") from error
        if certificate.root != content["root"]:
            raise StoreError("This certificate does not hold together: its parts do not give its root.")
        return certificate

    def differences(self, other: Certificate) -> list[str]:
        """Where the content of two stores differs: schema, fingerprint, rows, or lines with their first block."""
        named = ("schema", "fingerprint", "rows")
        differing = [f"the {name} differs" for name in named if getattr(self, name) != getattr(other, name)]
        theirs = {line.name: line for line in other.lines}
        for line in self.lines:
            if line.name not in theirs:
                differing.append(f"{line.name} is in one of them only")
            elif line.digest != theirs[line.name].digest:
                differing.append(f"{line.name} differs in {_first_difference(line, theirs[line.name])}")
        names = {line.name for line in self.lines}
        return differing + [f"{name} is in one of them only" for name in theirs if name not in names]


def certify(store: Store) -> Certificate:
    """The certificate of a store's rows (of a selection: of these rows in their order).

    Raises CorruptStore for a missing or damaged chunk or commit.
    """
    lines = [line for field in store.schema.fields for line in _field_lines(store, field.name)]
    lines += _column_lines(store)
    schema = hashlib.sha256(canonical_json(store.schema.to_json(), "Schema").encode()).hexdigest()
    return _rooted(len(store), schema, fingerprint_hash(store.fingerprint), lines)


def commits_key(store: Store) -> str:
    """A hash of which commits a store has. Their names carry their checksums, and they those of all arrays, so another
    content has another key; but the same content in other commits has another one, too."""
    commits = sorted((segment.part, segment.rows_name) for segment in store.segments)
    extended = [] if store.extended is None else [store.extended]
    return hashlib.sha256(json.dumps([store.identity, commits, *extended]).encode()).hexdigest()


def _rooted(rows: int, schema: str, fingerprint: str, lines: list[Line]) -> Certificate:
    head = {"format": FORMAT, "version": VERSION, "rows": rows, "schema": schema, "fingerprint": fingerprint}
    content = {**head, "lines": [[line.name, line.digest] for line in lines]}
    root = hashlib.sha256(canonical_json(content, "Certificate").encode()).hexdigest()
    return Certificate(root, rows, schema, fingerprint, tuple(lines))


def _field_lines(store: Store, name: str) -> Iterator[Line]:
    """One line for each index along the field's leading dims."""
    view = store.field(name)
    declared, lengths = view.field, view.lengths()
    names = declared.dims[: declared.axis]
    places = [dict(zip(names, index, strict=True)) for index in np.ndindex(*declared.leading)]
    blocks = list(view.disk_blocks(_READ_BYTES, **places[0]))

    def work(task: tuple[dict[str, int], Ints]) -> tuple[Ints, Digests, NDArray[np.bool_]]:
        place, rows = task
        return rows, *_row_digests(view, rows, lengths[rows], place)

    done = map_ordered(work, ((place, rows) for place in places for rows in blocks))
    for place in places:
        digests, scaled = np.empty((len(store), _SIZE), np.uint8), np.zeros(len(store), bool)
        for _ in blocks:
            rows, digests_of_rows, scaled_rows = next(done)
            digests[rows], scaled[rows] = digests_of_rows, scaled_rows
        labels = [store.schema.label(dim, index) for dim, index in place.items()]
        yield _line(", ".join([f"field {name!r}", *labels]), digests, lengths, scaled)


def _row_digests(
    view: FieldView, rows: Ints, lengths: Ints, place: dict[str, int]
) -> tuple[Digests, NDArray[np.bool_]]:
    """(hash of each row's values along one line, whether its hash covers exponents too).

    A float16 vector is hashed as the pair (mantissas, exponent) that `encode_float16` gives for its values, so that
    equal values hash alike however they were stored.
    """
    values = view.read(rows, raw=True, **place)
    exponents = np.zeros(0, np.int8)
    if view.scaled:
        exponents = view.exponents(rows, **place)
        odd = exponents != 0
        values[odd], exponents[odd] = encode_float16(decode_float16(values[odd], exponents[odd]))
    entry = values[:1].nbytes if len(values) else 0
    data = values.astype(values.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
    digests, scaled = bytearray(), np.zeros(len(rows), bool)
    ends = np.cumsum(lengths)
    for number, (start, end) in enumerate(zip((ends - lengths).tolist(), ends.tolist(), strict=True)):
        digest = hashlib.sha256(data[start * entry : end * entry])
        if len(exponents) and exponents[start:end].any():
            scaled[number] = True
            digest.update(exponents[start:end].tobytes())
        digests += digest.digest()
    return np.frombuffer(digests, np.uint8).reshape(-1, _SIZE), scaled


def _column_lines(store: Store) -> Iterator[Line]:
    """sample_id, sample_index and the declared columns; a cell is hashed as compact JSON."""
    names = store.column_names
    at_once = max(1, _COLUMN_BYTES // (_SIZE * max(1, len(store))))
    places = store.commit_places()
    ones, plain = np.ones(len(store), np.int64), np.zeros(len(store), bool)
    for first in range(0, len(names), at_once):
        columns = names[first : first + at_once]
        digests = np.empty((len(columns), len(store), _SIZE), np.uint8)
        begin = 0
        for table in map_ordered(partial(_columns_of, columns), store.row_segments):
            rows = places[begin : begin + len(table)]
            begin += len(table)
            shown = np.flatnonzero(rows >= 0)
            for number, name in enumerate(columns):
                digests[number, rows[shown]] = _cell_digests(table.column(name).to_pylist())[shown]
        for number, name in enumerate(columns):
            yield _line(f"column {name!r}", digests[number], ones, plain)


def _columns_of(names: list[str], segment: Segment) -> pa.Table:
    return read_rows(segment.files, segment.rows_rel, names, segment.place)[0]


def _cell_digests(cells: list[Any]) -> Digests:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    hashed = b"".join(hashlib.sha256(encode(cell).encode("utf-8", "surrogatepass")).digest() for cell in cells)
    return np.frombuffer(hashed, np.uint8).reshape(-1, _SIZE)


def _line(name: str, digests: Digests, lengths: Ints, scaled: NDArray[np.bool_]) -> Line:
    """Folds the rows' hashes, `[row, 32]`, into blocks and these into one."""
    blocks = []
    for start in range(0, len(digests), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        parts = (digests[rows].tobytes(), lengths[rows].astype("<i8").tobytes(), scaled[rows].tobytes())
        blocks.append(hashlib.sha256(b"".join(parts)).digest())
    return Line(name, hashlib.sha256(b"".join(blocks)).hexdigest(), tuple(block.hex() for block in blocks))


def _first_difference(line: Line, other: Line) -> str:
    pairs = zip(line.blocks, other.blocks, strict=False)
    differing = [number for number, (left, right) in enumerate(pairs) if left != right]
    first = differing[0] if differing else min(len(line.blocks), len(other.blocks))
    more = f" and {len(differing) - 1} more blocks" if len(differing) > 1 else ""
    return f"rows {first * BLOCK_ROWS}-{(first + 1) * BLOCK_ROWS - 1}{more}"
