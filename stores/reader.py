"""The reader: a store's rows and fields as one, whatever parts and commits they came from. Never writes, needs no
lock.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptStore, SelectionError
from .field_view import FieldView
from .files import open_files
from .hub_files import HubFiles
from .joined_view import field_view
from .row_index import WINDOW, JoinedIndex, RowIndex, read_index
from .rows import arrow_schema
from .schema import Schema, nearest
from .segments import Segment
from .selection import blocks, chosen_rows
from .store_file import Header, ensure_store, read_header

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import xarray

Ints = NDArray[np.int64]
_ITER_BYTES = 64 << 20
_ITER_ROWS = 4096


class Store:
    """Rows ordered by sample_index, their metadata, and their fields. A snapshot: open again to see later commits.

    Holds no open files, so it may be pickled or used after a fork.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header, index: RowIndex, rows: Ints | None):
        """rows: those shown, by number in the index; None for all."""
        self.path = os.fspath(path)
        self.schema: Schema = header.schema
        self.fingerprint = header.fingerprint
        self.provenance = header.provenance
        self.backend = header.backend
        self.created = header.created
        self._header, self._index, self._rows = header, index, rows

    def __len__(self) -> int:
        return len(self._index) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        fields = ", ".join(f.name for f in self.schema.fields)
        return f"<Store {self.path}: {len(self)} rows, fields {fields}, {self.backend}>"

    @property
    def segments(self) -> list[Segment]:
        """The commits behind the store (all of them, also in a selection)."""
        others = self._index.others.values() if isinstance(self._index, JoinedIndex) else ()
        return [*self._index.segments, *(segment for other in others for segment in other.segments)]

    @property
    def row_segments(self) -> list[Segment]:
        """The commits that hold the rows' columns: in a store that was extended, those of the first piece."""
        return self._index.segments

    @property
    def pieces(self) -> tuple[Schema, ...]:
        """What each piece of the rows holds; the first alone in a store that was not extended (see pieces.py)."""
        return self._header.pieces

    @property
    def divided(self) -> bool:
        """Whether an extension added fields, which lie in segments of their own."""
        return self._header.divided

    @property
    def extended(self) -> str | None:
        """The checksum of the last extension; None in a store without one."""
        extensions = self._header.extensions
        return extensions[-1].checksum if extensions else None

    def in_pieces(self) -> dict[int, Store]:
        """Each piece that holds fields or columns, as a store of its own: its rows, whether other pieces have them or
        not. Only for a store, not for a selection of its rows."""
        if self._rows is not None:
            raise SelectionError("in_pieces takes a whole store, not a selection of its rows.")
        if not isinstance(self._index, JoinedIndex):
            return {0: self}
        first = self._header.pieces[0]
        indexes = {0: RowIndex(first, self._index.segments), **self._index.others}
        headers = {number: replace(self._header, schema=self._header.pieces[number]) for number in indexes}
        alone = {number: replace(header, first=None, extensions=()) for number, header in headers.items()}
        return {number: Store(self.path, alone[number], index, None) for number, index in indexes.items()}

    @property
    def identity(self) -> str | None:
        """What every commit of the store names it by: the checksum of its store.json; None in stores of version 1."""
        return self._header.identity

    def commit_places(self) -> Ints:
        """Where the rows of the commits, in order of part, commit and row, come among these rows; -1 for none."""
        places = np.full(sum(segment.manifest.rows for segment in self.row_segments), -1, np.int64)
        order = self._index.order if self._rows is None else self._index.order[self._rows]
        places[order] = np.arange(len(order))
        return places

    @property
    def repeated_ids(self) -> list[str]:
        """Sample ids that more than one commit names; the first in part and commit order is shown."""
        return list(self._index.repeated)

    @property
    def sample_ids(self) -> list[str]:
        """The rows' ids, in order; of millions of rows rather take `id_windows`."""
        return list(self.table(["sample_id"]).column(0).to_pylist())

    def id_windows(self) -> Iterator[pa.ChunkedArray]:
        """The rows' ids in order, as Arrow strings, some at a time."""
        for start in range(0, len(self), WINDOW):
            yield self.select(slice(start, start + WINDOW)).table(["sample_id"]).column(0)

    def ids_digest(self) -> str:
        """SHA-256 of the rows' ids in order, a zero byte between them."""
        digest, between = hashlib.sha256(), ""
        for ids in self.id_windows():
            digest.update((between + "\0".join(ids.to_pylist())).encode())
            between = "\0"
        return digest.hexdigest()

    def with_indexes(self, low: int, high: int) -> Store:
        """The rows whose sample_index is in low..high. Only for a store, not for a selection of its rows."""
        if self._rows is not None:
            raise SelectionError("with_indexes takes rows of a whole store, not of a selection.")
        return self.select(slice(*self._index.with_numbers(low, high)))

    @property
    def column_names(self) -> list[str]:
        """sample_id, sample_index and the declared columns."""
        return list(arrow_schema(self.schema).names)

    def table(self, columns: list[str] | None = None, filter: Any = None) -> pa.Table:
        """Metadata as an Arrow table; `filter` is a pyarrow.compute Expression over any columns.

        JSON columns are text here. Raises SelectionError for an unknown column.
        """
        names = self._known(columns if columns is not None else self.column_names)
        needed = list(dict.fromkeys([*names, *self._mentioned(filter)]))
        table = self._index.columns(needed, self._rows)
        if filter is not None:
            table = table.filter(filter)
        return table.select(names)

    def to_pandas(self, columns: list[str] | None = None, filter: Any = None) -> pd.DataFrame:
        """Metadata as a pandas table, JSON columns decoded."""
        table = self.table(columns, filter)
        frame = table.to_pandas()
        for column in self.schema.columns:
            if column.type == "json" and column.name in frame:  # from the table: pandas turns None into NaN
                texts = table.column(column.name).to_pylist()
                frame[column.name] = [None if text is None else json.loads(text) for text in texts]
        return frame

    def select(self, rows: Any) -> Store:
        """A view of some rows: a filter Expression, a bool mask, a slice, or row numbers (in the order given)."""
        import pyarrow.compute as pc

        if isinstance(rows, pc.Expression):
            rows = self._matching(rows)
        view = copy.copy(self)
        view._rows = chosen_rows(self._rows, rows, len(self))
        return view

    def _matching(self, expression: Any) -> Ints:
        import pyarrow as pa

        names = self._mentioned(expression) or ["sample_index"]
        table = self.table(names).append_column("__row__", pa.array(np.arange(len(self))))
        return table.filter(expression).column("__row__").to_numpy()

    def field(self, name: str) -> FieldView:
        """A field over these rows; raises SchemaError naming the nearest for an unknown one."""
        return field_view(self._header, self._index, self._rows, name)

    def __getitem__(self, name: str) -> FieldView:
        return self.field(name)

    def to_xarray(self, fields: list[str] | None = None) -> xarray.Dataset:
        """These rows' fields (all by default) as an xarray Dataset, read when their values are asked for.

        Coordinates are the declared ones (names of layers, ...), along `sample` the ids and all columns, and along a
        ragged dim such as `token` the number of the row that each entry belongs to (`token_sample`). Raises
        MissingLibrary without xarray, SelectionError for a field that has the name of a dim.
        """
        from .xarray_view import to_dataset

        return to_dataset(self, fields)

    def iter_rows(self, fields: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows in order as dicts: metadata (JSON decoded) and the named fields' arrays (all by default), read in
        blocks.

        An array has its field's dims; the stacking dim "sample" is dropped, a ragged one has the row's length.
        """
        views = [self.field(name) for name in (fields if fields is not None else [f.name for f in self.schema.fields])]
        json_columns = [c.name for c in self.schema.columns if c.type == "json"]
        for block in self._row_blocks(views):
            part = self.select(block)
            metadata = part.table().to_pylist()
            arrays = {view.field.name: _per_row(part.field(view.field.name)) for view in views}
            for number, row in enumerate(metadata):
                for name in json_columns:
                    row[name] = None if row[name] is None else json.loads(row[name])
                yield {**row, **{name: values[number] for name, values in arrays.items()}}

    def _row_blocks(self, views: list[FieldView]) -> Iterator[slice]:
        """Consecutive rows of about _ITER_BYTES of values, and not too many rows."""
        sizes = np.full(len(self), _ITER_BYTES // _ITER_ROWS, np.int64)
        for view in views:
            sizes += view.lengths() * view.entry_bytes
        return blocks(sizes, _ITER_BYTES)

    def _known(self, names: list[str]) -> list[str]:
        known = self.column_names
        for name in names:
            if name not in known:
                raise SelectionError(f"No column {name!r}{nearest(name, known)}; the store has: {', '.join(known)}.")
        return list(names)

    def _mentioned(self, expression: Any) -> list[str]:
        """Columns that an Expression may use: those whose name occurs in its text (it has no other way to ask)."""
        text = "" if expression is None else str(expression)
        return [n for n in self.column_names if re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", text)]


def _per_row(view: FieldView) -> list[NDArray[Any]]:
    axis = view.field.axis
    pieces = np.split(view.read(), np.cumsum(view.lengths())[:-1], axis=axis)
    return pieces if view.field.ragged else [piece.squeeze(axis) for piece in pieces]


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a store (folder or URL; of a repository on the Hub that holds a run, the run's), and check its commits.

    Raises NotAStore, NewerFormat, CorruptStore, and HubError where the Hub gives nothing.
    """
    files = open_files(path)
    if isinstance(files, HubFiles) and files.holds_run():
        path = f"{files.url}/store"
        files = open_files(path)
    header = read_header(files)
    try:
        index = read_index(files, header)
    except CorruptStore:
        later = read_header(files)
        if later.extensions == header.extensions:
            raise
        header, index = later, read_index(files, later)  # it was extended between the two looks
    return Store(path, header, index, None)


def create_store(
    path: str | os.PathLike[str],
    schema: Schema,
    fingerprint: dict[str, Any],
    provenance: dict[str, Any],
    backend: str,
) -> Store:
    """Make a store, or open the one there if its fingerprint, schema and backend are the same.

    Raises FingerprintMismatch listing every differing key with both values, SchemaMismatch, BackendMismatch,
    NotWritable.
    """
    ensure_store(path, schema, fingerprint, provenance, backend)
    return open_store(path)
