"""Texts that are in memory, as a file that a collection reads; named for its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_experiments.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = "text"
"""The column that a list of texts becomes."""


def is_named(texts: Any) -> bool:
    """Whether texts are a file, a dataset's folder or a Hub id, rather than values in memory."""
    return isinstance(texts, str | PathLike)


def table_of(texts: Any) -> pa.Table:
    """Texts (a list), records (a list of dicts), columns (a dict), a pandas DataFrame, a `datasets.Dataset` or an Arrow
    table as an Arrow table.

    Raises:
        UserError: anything else, or no rows.
    """
    import pyarrow as pa

    if isinstance(texts, pa.Table):
        table = texts
    elif hasattr(texts, "with_format"):  # a datasets.Dataset
        table = texts.with_format("arrow")[:]
    elif hasattr(texts, "to_records"):  # a DataFrame
        table = pa.Table.from_pandas(texts, preserve_index=False)
    elif isinstance(texts, Mapping):
        table = pa.table(dict(texts))
    elif isinstance(texts, Sequence) and texts and all(isinstance(text, str) for text in texts):
        table = pa.table({TEXT: list(texts)})
    elif isinstance(texts, Sequence) and texts and all(isinstance(record, Mapping) for record in texts):
        table = pa.Table.from_pylist([dict(record) for record in texts])
    else:
        raise UserError(
            f"texts must be a file or a Hub id, a list of texts, a list of dicts, a dict of columns, a DataFrame, a "
            f"Dataset or an Arrow table, found {type(texts).__name__}{' without entries' if texts == [] else ''}."
        )
    if not len(table):
        raise UserError("texts hold no rows.")
    # Libraries differ in how wide their offsets into text are, which is nothing of the content.
    types = [pa.string() if pa.types.is_large_string(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def digest_of(table: pa.Table) -> str:
    """Hash of a table's content, not of how its memory is laid out."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    plain = table.combine_chunks()
    with pa.ipc.new_stream(sink, plain.schema) as writer:
        writer.write_table(plain)
    return hashlib.sha256(sink.getvalue()).hexdigest()[:12]


def write_table(table: pa.Table, folder: Path) -> Path:
    """Writes a table into a folder under the name of its content; what is there already stays."""
    from pyarrow import parquet

    path = folder / f"texts-{digest_of(table)}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".tmp")
        parquet.write_table(table, draft)
        draft.replace(path)
    return path
