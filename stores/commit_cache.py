"""Columns of the commits that were looked at last, so that passing through a store reads each commit once."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .segments import Segment, read_columns

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES = 64 << 20


class CommitCache:
    """Columns by commit and name, the longest unused dropped first."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._bytes = 0

    def tables(self, segments: list[Segment], names: list[str]) -> list[pa.Table]:
        """The columns of each commit, read where they are not held."""
        import pyarrow as pa

        known = {s.rows_rel: {name: self._held.get((s.rows_rel, name)) for name in names} for s in segments}
        missing = [s for s in segments if None in known[s.rows_rel].values()]
        for segment, table in zip(missing, read_columns(missing, names), strict=True):
            known[segment.rows_rel] = {name: table.column(name) for name in names}
        for rel, columns in known.items():
            for name, column in columns.items():
                self._hold((rel, name), column)
        self._drop()
        return [pa.table(known[s.rows_rel]) for s in segments]

    def _hold(self, key: tuple[str, str], column: Any) -> None:
        if key in self._held:
            self._held.move_to_end(key)
            return
        self._held[key] = column
        self._bytes += column.nbytes

    def _drop(self) -> None:
        while self._bytes > _BYTES and self._held:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
