"""What separates the fields of a CSV or TSV file, and whether its quotes enclose fields or are characters of the text.

Owns: choosing between the two readings of quotes where both are possible, and saying so where neither can be preferred.
Does not know: files, headers, records, what is malformed.

A quote is doubtful where a quoted field runs over several lines and each of them would be a whole row if quotes were
characters: `1<tab>"To be`, `2<tab>foo`, `3<tab>or not"` are three rows, or one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from lit_experiments.sources.errors import SourceError

Text = Callable[[], Iterator[str]]
"""The lines of a table with what ends them, from the first one whenever it is called."""
Quoting = Literal["auto", "standard", "none"]
DELIMITERS = ",;\t"
_LONGEST_FIELD = 1 << 26  # characters; Python's own limit of 131072 is shorter than a long document
_SAMPLE = 20  # rows that must agree with the header before its delimiter is believed
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
_SEPARATOR_LINE = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        delimiter: what stands between fields.
        quoted: whether quotes enclose fields; False where they are characters like others.
        skipped_lines: lines before the first row (Excel's "sep=;").
        notes: what was decided and could have been decided otherwise.
    """

    delimiter: str
    quoted: bool
    skipped_lines: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row that is not blank: its first and last line (from 1), its fields, and what is wrong with its quotes."""

    line: int
    last_line: int
    fields: list[str]
    problem: str = ""


class OpenQuoteError(ValueError):
    """A quoted field never ends. `line`: where its quote stands."""

    def __init__(self, line: int) -> None:
        super().__init__(f"the quote of line {line} never closes")
        self.line = line


def rows(text: Text, dialect: Dialect) -> Iterator[Row]:
    """The rows of a table; a row whose quotes are broken has no fields.

    Raises:
        OpenQuoteError: a quoted field runs to the end of the text.
    """
    return _rows(text, text(), dialect)


def _rows(text: Text, stream: Iterator[str], dialect: Dialect) -> Iterator[Row]:
    """stream: the lines of the text, which are read row by row."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    for _ in range(dialect.skipped_lines):
        next(stream, None)
    reader = csv.reader(stream, delimiter=dialect.delimiter, quoting=quoting, strict=True)
    while True:
        start = reader.line_num + 1 + dialect.skipped_lines
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise OpenQuoteError(_opening_line(text, start, dialect.delimiter)) from error
            yield Row(start, reader.line_num + dialect.skipped_lines, [], f"broken quoting ({error})")
            continue
        if fields:
            yield Row(start, reader.line_num + dialect.skipped_lines, fields)


def dialect_of(name: str, text: Text, quotes: bool, tabs: bool, quoting: Quoting) -> Dialect:
    """The dialect of a table.

    In files of comma- or semicolon-separated values quotes enclose fields. Of tab-separated values some programs write
    them that way (pandas, Excel) and others write every quote as it is, so the file decides: quotes enclose fields
    unless that breaks rows, or joins lines that are whole rows.

    Args:
        name: of the file, for messages.
        quotes: whether there is any quote in it.
        tabs: whether its suffix says that fields are separated by tabs.
        quoting: "standard" or "none" to decide it for any file.

    Raises:
        SourceError: lines that may be one row or several, and nothing to tell which.
    """
    separator = _SEPARATOR_LINE.match(next(text(), ""))
    skipped = 1 if separator else 0
    delimiter = separator[1] if separator else "\t" if tabs else _delimiter(text)
    standard, literal = Dialect(delimiter, True, skipped), Dialect(delimiter, False, skipped)
    if quoting != "auto":
        return standard if quoting == "standard" else literal
    if not quotes:
        return standard
    return _chosen(name, text, standard, literal)


def _delimiter(text: Text) -> str:
    """The first delimiter that the header and the rows behind it agree on; a comma where none does."""
    widths = {mark: _widths(text, mark) for mark in DELIMITERS}
    possible = [mark for mark in DELIMITERS if widths[mark] and widths[mark][0] > 1]
    agreed = [mark for mark in possible if len(set(widths[mark])) == 1]
    return (agreed or possible or [","])[0]


def _widths(text: Text, mark: str) -> list[int]:
    try:
        return [len(row.fields) for row in islice(rows(text, Dialect(mark, True)), _SAMPLE)]
    except OpenQuoteError:
        return []


@dataclass
class _Fit:
    """How well a reading fits a table.

    Attributes:
        width: fields of the first row.
        misfits: rows of another width.
        doubtful: the first row of several lines of which more than one has the width of a row.
        enclosed: fields in quotes that they do not need; enclosed_header: whether all of the first row are such.
    """

    width: int = 0
    misfits: int = 0
    doubtful: Row | None = None
    enclosed: int = 0
    enclosed_header: bool = False


def _chosen(name: str, text: Text, standard: Dialect, literal: Dialect) -> Dialect:
    as_characters = _fit(text, literal)
    try:
        as_enclosing = _fit(text, standard)
    except OpenQuoteError:
        # What follows the quote would be lost; only tab-separated values are ever written with single quotes.
        return literal if standard.delimiter == "\t" and not as_characters.misfits else standard
    if standard.delimiter != "\t":
        if as_enclosing.doubtful and not as_characters.misfits and as_characters.width > 1:
            raise _undecided(name, as_enclosing.doubtful)
        return standard
    if as_enclosing.doubtful:
        if as_characters.misfits or as_characters.width == 1:
            raise _undecided(name, as_enclosing.doubtful)
        return literal
    if as_enclosing.misfits > as_characters.misfits:
        return literal
    return Dialect(standard.delimiter, True, standard.skipped_lines, _enclosed_note(as_characters))


def _fit(text: Text, dialect: Dialect) -> _Fit:
    fit = _Fit()
    lines: list[str] = []  # of the row that is looked at
    for row in _rows(text, _noted(text(), lines), dialect):
        if not fit.width:
            fit.width, fit.enclosed_header = len(row.fields), all(map(_needlessly_enclosed, row.fields))
        fit.misfits += len(row.fields) != fit.width
        fit.enclosed += sum(map(_needlessly_enclosed, row.fields))
        if dialect.quoted and row.last_line > row.line and fit.doubtful is None:
            joined = lines[row.line - 1 - row.last_line :]
            whole = sum(line.count(dialect.delimiter) + 1 == fit.width for line in joined)
            fit.doubtful = row if whole > 1 else None
        lines.clear()
    return fit


def _noted(stream: Iterator[str], lines: list[str]) -> Iterator[str]:
    for line in stream:
        lines.append(line)
        yield line


def _needlessly_enclosed(field: str) -> bool:
    """Whether a field stands in quotes that no program would have written around it for its content."""
    return len(field) > 2 and field[0] == field[-1] == '"' and not set(field[1:-1]) & set('",')


def _enclosed_note(fit: _Fit) -> tuple[str, ...]:
    if not fit.enclosed or fit.enclosed_header:
        return ()
    fields = "1 field were" if fit.enclosed == 1 else f"{fit.enclosed} fields were"
    return (f"quotes around {fields} not read as part of the text (--quoting none keeps them)",)


def _undecided(name: str, row: Row) -> SourceError:
    count = row.last_line - row.line + 1
    return SourceError(
        f"{name}, line {row.line}: a quote opens in this row and closes in line {row.last_line}, so that these {count} "
        f"lines are one row, or as many rows with a quote in the text of two of them.\n"
        f"Next: --quoting standard if quotes enclose fields (one row), --quoting none if they belong to the text."
    )


def _opening_line(text: Text, start: int, delimiter: str) -> int:
    """The line of the quote that never closes, in the row that begins in line `start`."""
    rest, at = "".join(islice(text(), start - 1, None)), 0
    while rest[at] != '"' or (whole := _QUOTED.match(rest, at)):
        at = whole.end() + 1 if rest[at] == '"' and whole else rest.index(delimiter, at) + 1
    return start + len(_LINE_END.findall(rest, 0, at))
