"""Reading one file of rows in Arrow's formats: Parquet, and Arrow's own files and streams.

Owns: opening them, and the names of class numbers that `datasets` wrote next to them.
Does not know: folders, the Hub, what a study reads, whether malformed records stop a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_experiments.sources.class_names import NO_CLASSES, ClassNames, class_names
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.tables import Table, TableRow


def read_parquet(path: Path) -> Table:
    """A Parquet file; places are rows.

    Raises:
        SourceError: unreadable or not Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, "Parquet", error) from error
    return _arrow_table(path, "parquet", file.schema_arrow, file.iter_batches())


def read_arrow(path: Path) -> Table:
    """An Arrow IPC file or stream (what `datasets` writes); places are rows.

    Raises:
        SourceError: unreadable or not Arrow.
    """
    import pyarrow

    try:
        mapped = pyarrow.memory_map(str(path))
        try:
            reader = pyarrow.ipc.open_stream(mapped)
            batches: Iterator[Any] = iter(reader)
        except pyarrow.ArrowInvalid:
            reader = pyarrow.ipc.open_file(mapped)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, "Arrow", error) from error
    return _arrow_table(path, "arrow", reader.schema, batches)


def _arrow_table(path: Path, kind: str, schema: Any, batches: Iterator[Any]) -> Table:
    return Table(str(path), kind, "row", tuple(schema.names), _arrow_records(path, kind, batches, _classes(schema)))


def _classes(schema: Any) -> ClassNames:
    """The class names that `datasets` wrote into the file."""
    if b"huggingface" not in (schema.metadata or {}):
        return NO_CLASSES
    from datasets import Features

    return class_names(Features.from_arrow_schema(schema))


def _arrow_records(path: Path, kind: str, batches: Iterator[Any], classes: ClassNames) -> Iterator[TableRow]:
    import pyarrow

    number = 0
    try:
        for batch in batches:
            for record in batch.to_pylist():
                yield TableRow(number, f"{path}, row {number}", classes.named(record))
                number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, kind.capitalize(), error, f" after row {number}") from error


def _unreadable(path: Path, kind: str, error: Exception, after: str = "") -> SourceError:
    reason = " ".join(str(error).split())
    return SourceError(f"Cannot read {path} as {kind}{after}: {reason}\nNext: check that the file is whole.")
