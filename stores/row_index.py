"""Rows of all commits as one table, in the experiment's order: where each row's values lie, and its metadata on
demand.

Columns of ten million rows are large, so none is read when a store is opened, and a few bytes a row are held for the
order. Other columns are read when they are asked for: whole and remembered, or of the commits that hold those rows.
Knows commits and columns, not arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .commit_cache import CommitCache
from .files import Files
from .log import read_log
from .rows import arrow_schema, length_column, offset_column
from .schema import SAMPLE, Field, Schema
from .segments import Segment, read_columns, read_columns_of
from .store_file import Header
from .workers import map_ordered

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]
WINDOW = 1 << 17  # rows that are looked at together where a store is passed through from end to end
_REMEMBERED = 1 << 18  # rows: columns of smaller stores are read whole and held


@dataclass(frozen=True, eq=False)
class RowOrder:
    """`order`: for each row shown, its number in commit order. `numbers`: sample_index of each; None where they are
    consecutive from `first`. `repeated`: ids that more than one row has; only the first in commit order is shown.
    """

    order: Numbers
    numbers: Ints | None
    first: int
    repeated: list[str]


@dataclass
class RowIndex:
    """All rows in canonical order (sample_index, then part, segment and row), which is read when first needed."""

    schema: Schema
    segments: list[Segment]
    _columns: dict[str, Any] = field(default_factory=dict)
    _entries: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)
    _commits: CommitCache = field(default_factory=CommitCache)

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def starts(self) -> Ints:
        """Number in commit order of each segment's first row, and the number of all."""
        return np.cumsum([0, *(segment.manifest.rows for segment in self.segments)], dtype=np.int64)

    @cached_property
    def ordered(self) -> RowOrder:
        """The order of the rows."""
        return _read_order(self.segments, self.starts)

    @property
    def order(self) -> Numbers:
        """For each row, its number in commit order."""
        return self.ordered.order

    @property
    def repeated(self) -> list[str]:
        """Sample ids that more than one row has."""
        return self.ordered.repeated

    def columns(self, names: list[str], rows: Ints | None = None) -> pa.Table:
        """Columns of some rows, or of all in canonical order."""
        import pyarrow as pa

        missing = [name for name in names if name not in self._columns]
        few = rows is not None and len(self) > _REMEMBERED and len(rows) <= max(WINDOW, len(self) // 8)
        if missing and few:
            assert rows is not None
            return self._of_commits(names, rows)
        if missing:
            self._remember(_concat(read_columns(self.segments, missing), self.schema, missing))
        declared = arrow_schema(self.schema)
        chosen = pa.schema([declared.field(name) for name in names])
        table = pa.Table.from_arrays([self._columns[name] for name in names], schema=chosen)
        return table if rows is None else table.take(rows)

    def with_numbers(self, low: int, high: int) -> tuple[int, int]:
        """The range of rows whose sample_index is in low..high."""
        numbers, first = self.ordered.numbers, self.ordered.first
        if numbers is None:
            ends = np.clip([low - first, high + 1 - first], 0, len(self))
        else:
            ends = np.array([np.searchsorted(numbers, low), np.searchsorted(numbers, high, side="right")])
        return int(ends[0]), int(ends[1])

    def places(self, rows: Ints | slice) -> tuple[Ints, Ints]:
        """(segment, row in it) of rows."""
        at = self.order[rows].astype(np.int64)
        segment = np.searchsorted(self.starts, at, side="right") - 1
        return segment, at - self.starts[segment]

    def entries(self, dim: str) -> tuple[Ints, Ints]:
        """(offset in the segment, length) of every row along a ragged dim; read when first asked for."""
        if dim not in self._entries:
            names = [offset_column(dim), length_column(dim)]
            table = _concat(read_columns(self.segments, names), self.schema, names)
            offset, length = (table.column(name).to_numpy()[self.order] for name in names)
            self._entries[dim] = (offset, length)
        return self._entries[dim]

    def _remember(self, table: pa.Table) -> None:
        taken = table if _identity(self.order, len(table)) else table.take(self.order)
        for name in taken.column_names:
            self._columns[name] = taken.column(name)

    def _of_commits(self, names: list[str], rows: Ints) -> pa.Table:
        """Columns of a few rows, from the commits that hold them alone."""
        segment, local = self.places(rows)
        used, owner = np.unique(segment, return_inverse=True)
        tables = self._commits.tables([self.segments[s] for s in used.tolist()], names)
        before = np.cumsum([0, *(len(table) for table in tables)])
        return _concat(tables, self.schema, names).take(before[owner] + local)


class JoinedIndex(RowIndex):
    """The rows that all pieces of an extended store have; their columns are those of the first piece.

    others: the index of every further piece that holds fields, by its number.
    """

    def __init__(self, schema: Schema, segments: list[Segment], others: dict[int, RowIndex]) -> None:
        super().__init__(schema, segments)
        self.others = others

    @cached_property
    def _joined(self) -> tuple[RowOrder, dict[int, Ints]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        first = RowIndex(self.schema, self.segments)
        ids = first.columns(["sample_id"]).column(0)
        places = {}
        for number, other in self.others.items():
            row = pc.index_in(ids, value_set=other.columns(["sample_id"]).column(0))
            places[number] = pc.fill_null(row.cast(pa.int64()), -1).to_numpy()
        keep = np.all([row >= 0 for row in places.values()], axis=0)
        known = first.ordered
        numbers = np.arange(known.first, known.first + len(first)) if known.numbers is None else known.numbers
        repeated = sorted({*known.repeated, *(name for other in self.others.values() for name in other.repeated)})
        order = RowOrder(known.order[keep], numbers[keep], known.first, repeated)
        return order, {number: row[keep] for number, row in places.items()}

    @cached_property
    def ordered(self) -> RowOrder:
        """The order of the rows."""
        return self._joined[0]

    def rows_in(self, piece: int) -> Ints:
        """[row] its number in the index of another piece."""
        return self._joined[1][piece]


def read_index(files: Files, header: Header) -> RowIndex:
    """Check all commits. Raises CorruptStore for a damaged, lost or foreign commit."""
    log = read_log(files, header, [])
    log.require_whole()
    by_piece: list[list[Segment]] = [[] for _ in header.pieces]
    for segment in log.segments:
        by_piece[segment.manifest.piece].append(segment)
    if not header.divided:
        return RowIndex(header.schema, by_piece[0])
    holding = [number for number, piece in enumerate(header.pieces) if number and piece.fields]
    others = {number: RowIndex(header.pieces[number], by_piece[number]) for number in holding}
    return JoinedIndex(header.schema, by_piece[0], others)


def _read_order(segments: list[Segment], starts: Ints) -> RowOrder:
    numbers = np.empty(int(starts[-1]), np.int64)
    tables = map_ordered(lambda s: read_columns_of(s, ["sample_index"]), segments)
    for start, stop, table in zip(starts[:-1].tolist(), starts[1:].tolist(), tables, strict=True):
        numbers[start:stop] = table.column(0).to_numpy()
    order, tied = _canonical(numbers)
    repeated: list[str] = []
    if len(tied):
        order, repeated = _first_of_each(segments, starts, order, tied)
    first, last = (int(numbers[order[place]]) for place in (0, -1)) if len(order) else (0, -1)
    consecutive = not len(tied) and last - first == len(order) - 1
    return RowOrder(order, None if consecutive else numbers[order], first, repeated)


def stacked(index: RowIndex, declared: Field, rows: Ints | slice) -> tuple[Ints, Ints, Ints]:
    """(segment, first entry, length) of rows in a field."""
    segment, local = index.places(rows)
    if declared.stacking == SAMPLE:
        return segment, local, np.ones(len(local), np.int64)
    offset, length = index.entries(declared.stacking)
    return segment, offset[rows], length[rows]


def _canonical(numbers: Ints) -> tuple[Numbers, Numbers]:
    """(rows sorted by their sample_index, ties in commit order; those that share theirs with another row)."""
    n = len(numbers)
    kind = np.int32 if n < 2**31 else np.int64
    none: Numbers = np.empty(0, kind)
    if n < 2 or bool(np.all(numbers[1:] > numbers[:-1])):
        return np.arange(n, dtype=kind), none
    low, high = int(numbers.min()), int(numbers.max())
    if high - low < 4 * n:  # mostly consecutive: rows go to their places at once
        slots: Numbers = np.full(high - low + 1, -1, kind)
        slots[numbers - low] = np.arange(n, dtype=kind)
        placed = slots[slots >= 0]
        if len(placed) == n:
            return placed, none
    order: Numbers = np.argsort(numbers, kind="stable").astype(kind)
    equal = np.diff(numbers[order]) == 0
    shared = np.append(equal, False) | np.insert(equal, 0, False)
    return order, order[shared]


def _first_of_each(segments: list[Segment], starts: Ints, order: Numbers, tied: Numbers) -> tuple[Numbers, list[str]]:
    """(order without the rows whose id came before, the ids that come again). Rows of one id have one sample_index."""
    rows = np.sort(tied).astype(np.int64)
    owner = np.searchsorted(starts, rows, side="right") - 1
    used = np.unique(owner)
    seen: set[str] = set()
    extra: list[int] = []
    repeated: set[str] = set()
    for number, table in zip(used.tolist(), read_columns([segments[s] for s in used], ["sample_id"]), strict=True):
        mine = rows[owner == number]
        for row, name in zip(mine.tolist(), table.column(0).take(mine - starts[number]).to_pylist(), strict=True):
            if name in seen:
                extra.append(row)
                repeated.add(name)
            seen.add(name)
    return order[~np.isin(order, extra)], sorted(repeated)


def repeated_ids(commits: list[pa.ChunkedArray]) -> list[tuple[str, int]]:
    """(sample id, number of the commit) wherever a commit names an id that came before."""
    import pyarrow as pa

    ids = pa.chunked_array([chunk for commit in commits for chunk in commit.chunks], pa.string())
    _, first = np.unique(_codes(ids), return_index=True)
    extra = np.setdiff1d(np.arange(len(ids)), first)
    owners = np.searchsorted(np.cumsum([len(commit) for commit in commits]), extra, side="right")
    return list(zip(ids.take(extra).to_pylist(), owners.tolist(), strict=True))


def _codes(ids: pa.ChunkedArray) -> Ints:
    """A number for each distinct id, in order of first use."""
    import pyarrow as pa

    whole = pa.concat_arrays(ids.chunks) if ids.num_chunks else pa.array([], pa.string())
    return whole.dictionary_encode().indices.to_numpy().astype(np.int64)


def _identity(order: Numbers, n: int) -> bool:
    return len(order) == n and (n == 0 or (int(order[0]) == 0 and bool(np.all(np.diff(order) == 1))))


def _concat(tables: list[pa.Table], schema: Schema, names: list[str]) -> pa.Table:
    """One table of the commits' tables; of the right types even if there are none."""
    import pyarrow as pa

    known = arrow_schema(schema)
    types = {name: known.field(name).type if name in known.names else pa.int64() for name in names}
    empty = pa.table({name: pa.array([], kind) for name, kind in types.items()})
    plain = [t.select(names).replace_schema_metadata(None).cast(empty.schema) for t in tables]
    return pa.concat_tables([empty, *plain])
