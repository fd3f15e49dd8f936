"""Reading one file of rows as text: CSV and TSV, comma, semicolon or tab between the fields.

A file is read as its rows are asked for, once more where its quotes are doubtful.
Owns: headers, columns without a name, rows that do not fit their header, line numbers.
Does not know: how delimiter and quotes are told (`dialect`), folders, the Hub, what a study reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lit_experiments.sources.dialect import Dialect, OpenQuoteError, Quoting, Row, Text, dialect_of, rows
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import bad_encoding, data_suffix
from lit_experiments.sources.tables import Table, TableRow
from lit_experiments.sources.text_bytes import holds, text_lines

Headerless = Callable[[Sequence[str]], Sequence[str] | None]
_SURROGATE = re.compile("[\udc80-\udcff]")  # what undecodable bytes become under "surrogateescape"


def read_csv(path: Path, headerless: Headerless | None = None, quoting: Quoting = "auto") -> Table:
    """A CSV or TSV file; places are the lines where the records start, however many lines each one has.

    Rows of which every field is blank are passed over, as blank lines are. Columns without a name, which spreadsheets
    leave behind the last one, are left out where they are blank; one such column may hold values (pandas' index).

    Args:
        headerless: gets the first row; answers with column names if that row is already a record, else None.
        quoting: what quotes are; see `dialect.dialect_of`.

    Raises:
        SourceError: no usable header, or quotes of which it cannot be told what they enclose.
    """
    text = partial(text_lines, path)
    dialect = dialect_of(str(path), text, holds(path, b'"'), data_suffix(path) == ".tsv", quoting)
    filled = _filled(path, text, dialect)
    first = next(filled, None)
    if first is None or first.problem:
        raise SourceError(f"{path}, line 1: {first.problem if first else 'the header names no column'}.")
    names = headerless(first.fields) if headerless else None
    if names is None:
        names = _header(path, first)
    else:
        filled = _filled(path, text, dialect)
    kept = tuple(name for name in names if name or names.count("") == 1)
    return Table(str(path), "csv", "line", kept, _records(path, filled, tuple(names)), dialect.notes)


def _header(path: Path, row: Row) -> list[str]:
    names = [name.strip() for name in row.fields]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(
            f"{path}, line {row.line}: the header names a column twice: {', '.join(repr(name) for name in twice)}.\n"
            f"Next: give every column a name of its own."
        )
    return names


def _filled(path: Path, text: Text, dialect: Dialect) -> Iterator[Row]:
    """The rows with something in them; the only field of a row may be blank."""
    try:
        for row in rows(text, dialect):
            if row.problem or len(row.fields) == 1 or any(field.strip() for field in row.fields):
                yield row
    except OpenQuoteError as error:
        raise SourceError(
            f"{path}, line {error.line}: a quoted field of this row never ends; its quote opens in this line, and "
            f'nothing after it can be read.\nNext: close the quote; a quote inside a field is written twice (""); or '
            f"--quoting none, if no quote in this file encloses a field."
        ) from error


def _records(path: Path, filled: Iterator[Row], names: tuple[str, ...]) -> Iterator[TableRow]:
    for row in filled:
        where = f"{path}, line {row.line}"
        bad = next((field for field in row.fields if not field.isascii() and _SURROGATE.search(field)), None)
        if row.problem:
            yield TableRow(row.line, where, None, *_broken(row))
        elif (misfit := _misfit(row.fields, names)) is not None:
            yield TableRow(row.line, where, None, misfit, "quote fields that hold the delimiter or a newline")
        elif bad is not None:
            at = next(_SURROGATE.finditer(bad)).start()
            undecodable = bad_encoding(path, row.line, where, ord(bad[at]) - 0xDC00, at + 1)
            inside = undecodable.reason.replace("at column", f'in column "{names[row.fields.index(bad)]}", character')
            yield TableRow(row.line, where, None, inside, undecodable.remedy)
        else:
            yield TableRow(row.line, where, _named(row.fields, names))


def _broken(row: Row) -> tuple[str, str]:
    """(reason, remedy) for a row whose quotes are broken."""
    lines = f"; the quoted field runs to line {row.last_line}" if row.last_line > row.line else ""
    remedy = 'quote the whole field and double the quotes inside it (""), or read quotes as characters: --quoting none'
    return row.problem + lines, remedy


def _misfit(fields: Sequence[str], names: Sequence[str]) -> str | None:
    """Why a row does not fit the header; a spreadsheet may leave out blank fields under columns without a name."""
    named = max((i + 1 for i, name in enumerate(names) if name), default=0)
    if not named <= len(fields) <= len(names):
        columns = [name for name in names if name]
        return f"{len(fields)} fields where the columns are {len(columns)} ({', '.join(columns)})"
    if names.count("") < 2:
        return None
    stray = next((i for i, field in enumerate(fields) if not names[i] and field.strip()), None)
    return None if stray is None else f"a value in column {stray + 1}, which the header does not name"


def _named(fields: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    single = names.count("") == 1
    return {name: field for name, field in zip(names, fields, strict=False) if name or single}
