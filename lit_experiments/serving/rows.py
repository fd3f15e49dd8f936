"""One row of a store, and rows as lines of a list: some at a time, whatever the store's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_experiments.controls.texts import TEXTS
from stores import Store
from stores.schema import RESERVED_COLUMNS

PAGE = 50
"""Rows of a page."""
_WINDOW = 1 << 14  # rows that are searched together
MOST_SEARCHED = 1 << 18
"""Rows that one page of a search looks at; the next page goes on from there."""
_SIMPLE = ("int64", "float64", "bool", "string")
_MOST_LABELS = 4


@dataclass(frozen=True)
class Row:
    """part: a store's selection of this row alone; number: its place in the store; columns: by name, JSON as text."""

    part: Store
    number: int
    columns: dict[str, Any]


def read_row(store: Store, number: int) -> Row:
    """Raises stores.SelectionError where there is no such row."""
    part = store.select([number])
    return Row(part, number, part.table().to_pylist()[0])


@dataclass(frozen=True)
class Line:
    """A row in a list. labels: (column, value) of the first plain columns."""

    number: int
    sample_id: str
    text: str
    labels: list[tuple[str, Any]]


@dataclass(frozen=True)
class Lines:
    """A page of rows. start: the first row that was looked at; after: the first that was not."""

    lines: list[Line]
    start: int
    after: int


def text_column(store: Store) -> str | None:
    """What a row's text is taken from: a column that is called what texts are called, or the first one of texts."""
    kinds = {column.name: column.type for column in store.schema.columns}
    named = [name for name in TEXTS if kinds.get(name) == "string"]
    return next(iter([*named, *(name for name, kind in kinds.items() if kind == "string")]), None)


def lines_at(store: Store, numbers: list[int]) -> list[Line]:
    """Rows by their numbers, in the order given."""
    text = text_column(store)
    columns = [column.name for column in store.schema.columns if column.type in _SIMPLE and column.name != text]
    labels = columns[:_MOST_LABELS]
    rows = (
        store.select(np.array(numbers, np.int64)).table(["sample_id", *([text] if text else []), *labels]).to_pylist()
    )
    return [
        Line(number, row["sample_id"], (row[text] or "") if text else "", [(name, row[name]) for name in labels])
        for number, row in zip(numbers, rows, strict=True)
    ]


def page_of(store: Store, start: int, words: str) -> Lines:
    """The rows from `start` on; with words, those whose id or text holds them, in whichever case."""
    start = min(max(0, start), len(store))
    if not words:
        after = min(start + PAGE, len(store))
        return Lines(lines_at(store, [*range(start, after)]), start, after)
    last, numbers = min(start + MOST_SEARCHED, len(store)), []
    for number in _matching(store, start, last, words):
        numbers.append(number)
        if len(numbers) == PAGE:
            return Lines(lines_at(store, numbers), start, number + 1)
    return Lines(lines_at(store, numbers), start, last)


def _matching(store: Store, start: int, last: int, words: str) -> Iterator[int]:
    import pyarrow.compute as pc

    text = text_column(store)
    names = [*RESERVED_COLUMNS[:1], *([text] if text else [])]
    for first in range(start, last, _WINDOW):
        part = store.select(slice(first, min(first + _WINDOW, last))).table(names)
        holds = [
            pc.fill_null(pc.match_substring(part.column(name), words, ignore_case=True), False).to_numpy()
            for name in names
        ]
        yield from (np.flatnonzero(np.logical_or.reduce(holds)) + first).tolist()
