"""Parquet: one row per sample, metadata columns next to fields as nested lists, in files that `datasets` and pyarrow
open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field_view import FieldView
from ..reader import Store
from ..selection import blocks

FILE_BYTES = 256 << 20


def export_parquet(store: Store, out: Path) -> None:
    """`data-00000.parquet`, ... of about 256 MB of values each; float16 and bfloat16 as float32."""
    import pyarrow.parquet as pq

    out.mkdir()
    views = [store.field(f.name) for f in store.schema.fields]
    sizes = np.full(len(store), 1024, np.int64)
    for view in views:
        sizes += view.lengths() * view.entry_bytes
    parts = list(blocks(sizes, FILE_BYTES)) or [slice(0, 0)]
    for number, block in enumerate(parts):
        part = store.select(block)
        table = part.table()
        for view in views:
            table = table.append_column(view.field.name, nested(part.field(view.field.name)))
        pq.write_table(table, out / f"data-{number:05d}.parquet", compression="zstd")


def nested(view: FieldView) -> Any:
    """A field as an Arrow array of one nested list per row: its dims in order, without "sample"."""
    import pyarrow as pa

    field, lengths = view.field, view.lengths()
    values = _row_by_row(view.read(), field.axis, lengths)
    array = pa.array(values)
    for size in reversed(field.trailing):
        array = _list_of(array, np.full(len(array) // size, size))
    n_lead = int(np.prod(field.leading))
    if field.ragged:
        array = _list_of(array, np.repeat(lengths, n_lead))
    for size in reversed(field.leading):
        array = _list_of(array, np.full(len(array) // size, size))
    return array


def _row_by_row(values: NDArray[Any], axis: int, lengths: NDArray[np.int64]) -> NDArray[Any]:
    """All numbers, one row after the other, each row in the order of its dims."""
    if axis == 0:
        return np.ascontiguousarray(values).reshape(-1)
    ends = np.cumsum(lengths)
    lead = (slice(None),) * axis
    rows = [values[(*lead, slice(int(e - n), int(e)))].reshape(-1) for e, n in zip(ends, lengths, strict=True)]
    return np.concatenate(rows) if rows else values.reshape(-1)


def _list_of(values: Any, lengths: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
