"""The scores of a store as one table: Parquet, JSON lines or CSV, by the file's suffix; written in blocks of rows.

Owns the columns of the table and its formats. Knows no model.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stores import Store

FORMATS = (".parquet", ".jsonl", ".csv")
_ROWS = 2048
_LEFT_OUT = ("sample_index", "input_ids", "input_digest", "char_start", "char_end")


def write_table(store: Store, out: Path) -> None:
    """Writes all rows in order, whole or not at all. Lists are JSON texts in CSV."""
    draft = out.with_name(out.name + ".tmp")
    writers = {".parquet": _write_parquet, ".jsonl": _write_jsonl, ".csv": _write_csv}
    writers[out.suffix](store, draft)
    draft.replace(out)


def _blocks(store: Store) -> Iterator[Any]:
    """pyarrow tables, the tokens' scores as a list column."""
    import pyarrow as pa

    names = [name for name in store.column_names if name not in _LEFT_OUT]
    for start in range(0, len(store), _ROWS):
        part = store.select(slice(start, start + _ROWS))
        view = part["token_scores"]
        ends = view.lengths().cumsum()
        offsets = pa.array([0, *ends.tolist()], pa.int32())
        scores = pa.ListArray.from_arrays(offsets, pa.array(view.read()))
        yield part.table(names).append_column("token_scores", scores)


def _write_parquet(store: Store, path: Path) -> None:
    import pyarrow.parquet as pq

    writer = None
    try:
        for block in _blocks(store):
            writer = writer or pq.ParquetWriter(path, block.schema, compression="zstd")
            writer.write_table(block)
    finally:
        if writer is not None:
            writer.close()


def _write_jsonl(store: Store, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(store):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_csv(store: Store, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = None
        for row in _rows(store):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            lists = {n: json.dumps(value, ensure_ascii=False) for n, value in row.items() if isinstance(value, list)}
            writer.writerow(row | lists)


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    for block in _blocks(store):
        yield from block.to_pylist()
