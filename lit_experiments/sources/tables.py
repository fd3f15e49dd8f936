"""What readers of files and datasets hand on: records, malformed ones among them, and what is known of all of them.

Owns: the shape of one record and of a source as a whole. Does not know: file formats, what a study reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["line", "row"]


@dataclass(frozen=True)
class TableRow:
    """One record of a source, or the reason why there is none at this place.

    Attributes:
        place: line of a file (from 1) or row of a dataset (from 0), different for every record of the source.
        where: the same for people: "questions.csv, line 12".
        record: values by name; None when malformed.
        reason: what is wrong with a malformed record.
        remedy: what to do about it, when that is more than correcting the record.
    """

    place: int
    where: str
    record: dict[str, Any] | None
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Table:
    """A source before its records are read.

    Attributes:
        name: for people.
        kind: jsonl, json, csv, parquet, arrow, text or dataset.
        unit: whether places are lines or rows.
        columns: the names that every record has; None where each record names its own (JSON).
        rows: its records, malformed ones among them, in order, once.
        notes: what was decided about the format and could have been decided otherwise.
    """

    name: str
    kind: str
    unit: Unit
    columns: tuple[str, ...] | None
    rows: Iterator[TableRow]
    notes: tuple[str, ...] = ()
