"""Reading one file of rows under fixed columns: CSV, TSV, Parquet and Arrow.

Owns: quoting and line numbers in CSV, rows that do not fit their header, opening Parquet and Arrow.
Does not know: folders, the Hub, what a study reads, whether malformed records stop a run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import bad_encoding, read_bytes
from lit_experiments.sources.found import Found, Table

Headerless = Callable[[Sequence[str]], Sequence[str] | None]
_LONGEST_FIELD = 1 << 26  # characters; Python's own limit of 131072 is shorter than a long document
_SURROGATES = range(0xDC80, 0xDD00)  # what undecodable bytes become under "surrogateescape"


def read_csv(path: Path, headerless: Headerless | None = None) -> Table:
    """A CSV or TSV file; places are the lines where the records start, however many lines each one has.

    Args:
        headerless: gets the first row; answers with column names if that row is already a record, else None.

    Raises:
        SourceError: no usable header.
    """
    text = read_bytes(path).decode("utf-8", errors="surrogateescape")
    rows = _rows(path, text)
    _, first, problem = next(rows)
    if problem:
        raise SourceError(f"{path}, line 1: {problem}.")
    names = headerless(first) if headerless else None
    if names is None:
        names = _header(path, first)
    else:
        rows = _rows(path, text)
    return Table(str(path), "csv", "line", tuple(names), _records(path, rows, tuple(names)))


def _header(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"{path}, line 1: the header names a column twice: {', '.join(repr(name) for name in twice)}.\n"
            f"Next: give every column a name of its own."
        )
    if not any(names):
        raise SourceError(f"{path}, line 1: the header names no column.")
    return names


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str], str]]:
    """(first line, fields, what is wrong with the quoting) for each row that is not blank."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise SourceError(
                    f"{path}, line {start}: a quoted field of this row never ends, so nothing after it can be read.\n"
                    f'Next: close the quote; a quote inside a field is written twice ("").'
                ) from error
            yield start, [], f"broken quoting ({error})"
            continue
        if fields:
            yield start, fields, ""


def _records(path: Path, rows: Iterator[tuple[int, list[str], str]], names: tuple[str, ...]) -> Iterator[Found]:
    for line, fields, problem in rows:
        where = f"{path}, line {line}"
        bad = next((field for field in fields if any(ord(c) in _SURROGATES for c in field)), None)
        if problem:
            yield Found(line, where, None, problem, 'quote the whole field and double the quotes inside it ("")')
        elif len(fields) != len(names):
            counts = f"{len(fields)} fields where the columns are {len(names)} ({', '.join(names)})"
            yield Found(line, where, None, counts, "quote fields that hold the delimiter or a newline")
        elif bad is not None:
            at = next(i for i, c in enumerate(bad) if ord(c) in _SURROGATES)
            found = bad_encoding(path, line, where, ord(bad[at]) - 0xDC00, at + 1)
            inside = found.reason.replace("at column", f'in column "{names[fields.index(bad)]}", character')
            yield Found(line, where, None, inside, found.remedy)
        else:
            yield Found(line, where, dict(zip(names, fields, strict=True)))


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
    return _arrow_table(path, "parquet", file.schema_arrow.names, file.iter_batches())


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
    return _arrow_table(path, "arrow", reader.schema.names, batches)


def _arrow_table(path: Path, kind: str, names: list[str], batches: Iterator[Any]) -> Table:
    return Table(str(path), kind, "row", tuple(names), _arrow_records(path, kind, batches))


def _arrow_records(path: Path, kind: str, batches: Iterator[Any]) -> Iterator[Found]:
    import pyarrow

    number = 0
    try:
        for batch in batches:
            for record in batch.to_pylist():
                yield Found(number, f"{path}, row {number}", record)
                number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, kind.capitalize(), error, f" after row {number}") from error


def _unreadable(path: Path, kind: str, error: Exception, after: str = "") -> SourceError:
    reason = " ".join(str(error).split())
    return SourceError(f"Cannot read {path} as {kind}{after}: {reason}\nNext: check that the file is whole.")
