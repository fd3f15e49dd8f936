"""Rows of all commits as one table, in the experiment's order: where each row's values lie, and its metadata on
demand.

Text columns of a million rows are large, so only ids, order and places are read when a store is opened; other columns
are read when first asked for. Knows commits and columns, not arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import Files
from .log import read_log
from .rows import arrow_schema, length_column, offset_column
from .schema import SAMPLE, Field, Schema
from .segments import Segment, read_columns
from .store_file import Header

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]


@dataclass
class RowIndex:
    """All rows in canonical order (sample_index, then part, segment and row).

    `order`: for each row, its number in commit order. `segment`: for each row, its segment. `entries`: stacking dim ->
    (offset in the segment, length) of each row. `repeated`: sample ids that more than one row has; only the first in
    commit order is shown.
    """

    schema: Schema
    segments: list[Segment]
    order: Ints
    segment: Ints
    entries: dict[str, tuple[Ints, Ints]]
    repeated: list[str]
    _columns: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.order)

    def columns(self, names: list[str]) -> pa.Table:
        """Columns in canonical order; reads those not read before."""
        import pyarrow as pa

        missing = [name for name in names if name not in self._columns]
        if missing:
            table = _concat(read_columns(self.segments, missing), self.schema, missing)
            self._keep(table)
        declared = arrow_schema(self.schema)
        chosen = pa.schema([declared.field(name) for name in names])
        return pa.Table.from_arrays([self._columns[name] for name in names], schema=chosen)

    def _keep(self, table: pa.Table) -> None:
        taken = table if _identity(self.order, len(table)) else table.take(self.order)
        for name in taken.column_names:
            self._columns[name] = taken.column(name)


def read_index(files: Files, header: Header) -> RowIndex:
    """Read ids, order and places of all rows. Raises CorruptStore for a damaged, lost or foreign commit."""
    schema = header.schema
    places = [name for dim in schema.ragged_dims for name in (offset_column(dim), length_column(dim))]
    wanted = ["sample_id", "sample_index", *places]
    log = read_log(files, header, wanted)
    log.require_whole()
    segments, tables = log.segments, log.tables
    counts = np.array([len(t) for t in tables], np.int64)
    table = _concat(tables, schema, wanted)
    segment = np.repeat(np.arange(len(segments)), counts)
    local = np.arange(len(table)) - np.repeat(np.cumsum(counts) - counts, counts)
    keep, repeated = _first_of_each(table.column("sample_id"))
    number = table.column("sample_index").to_numpy()
    order = keep[np.argsort(number[keep], kind="stable")]
    entries = {SAMPLE: (local[order], np.ones(len(order), np.int64))}
    for dim in schema.ragged_dims:
        offset, length = (table.column(name).to_numpy() for name in (offset_column(dim), length_column(dim)))
        entries[dim] = (offset[order], length[order])
    index = RowIndex(schema, segments, order, segment[order], entries, repeated)
    index._keep(table.select(["sample_id", "sample_index"]))
    return index


def stacked(index: RowIndex, declared: Field, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """(segment, first entry, length) of the given rows in a field."""
    offset, length = index.entries[declared.stacking]
    return index.segment[rows], offset[rows], length[rows]


def _first_of_each(ids: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """(numbers of the rows that first name their id, ids that come again)."""
    import pyarrow.compute as pc

    n = len(ids)
    if pc.count_distinct(ids).as_py() == n:
        return np.arange(n), []
    _, first = np.unique(_codes(ids), return_index=True)
    extra = np.setdiff1d(np.arange(n), first)
    return np.sort(first), sorted(set(ids.take(extra).to_pylist()))


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


def _identity(order: Ints, n: int) -> bool:
    return len(order) == n and bool(np.array_equal(order, np.arange(n)))


def _concat(tables: list[pa.Table], schema: Schema, names: list[str]) -> pa.Table:
    """One table of the commits' tables; of the right types even if there are none."""
    import pyarrow as pa

    known = arrow_schema(schema)
    types = {name: known.field(name).type if name in known.names else pa.int64() for name in names}
    empty = pa.table({name: pa.array([], kind) for name, kind in types.items()})
    plain = [t.select(names).replace_schema_metadata(None).cast(empty.schema) for t in tables]
    return pa.concat_tables([empty, *plain])
