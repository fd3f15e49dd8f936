"""What a store says of a row's circumstances: its place in the data, and columns that name its source, session or kind.

Owns: which columns these are. Does not know: texts, how anything is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats
from stores import Store

OPTIONS, KEYS = ("options", "choices"), ("correct_answer_letter", "key", "answer_letter", "answer", "correct_answer")
"""Columns in which collections, and tables of questions, keep the options and which one is right."""
KINDS = (
    *("question_type", "subject", "category", "source", "topic", "domain", "genre", "language", "lang", "template"),
    *("annotator", "annotator_id", "rater", "worker", "worker_id", "coder", "speaker", "author", "session", "batch"),
    *("day", "weekday", "month"),
)
"""Columns with few values that belong to the surface: where a text is from, who wrote or labelled it, and when."""
PLACES = (
    "position",
    "place",
    "order",
    "index",
    "page",
    "line",
    "turn",
    "timestamp",
    "time",
    "hour",
    "year",
    *KINDS[-3:],
)
"""Columns of numbers that say where or when a row was made."""
_MOST_KINDS = 30
_MOST_SHARE = 1 / 3
"""Values of a column of kinds, as a share of the rows, above which it names rows and not kinds."""


def kind_columns(store: Store, target: str) -> tuple[dict[str, Floats], Floats | None]:
    """(0 and 1 for every value of columns with few values, the same of all columns of kinds [row, value]); the key is
    one of these. None where there are none."""
    few: dict[str, Floats] = {}
    every: list[Floats] = []
    for name, values in _kinds(store, target):
        names = sorted({value for value in values if value is not None})
        if not 1 < len(names) <= max(_MOST_KINDS, _MOST_SHARE * len(values)):
            continue
        columns = {f"{name} {word}": np.array([value == word for value in values], np.float64) for word in names}
        every += columns.values()
        if len(names) <= _MOST_KINDS:
            few |= columns
    return few, np.stack(every, 1) if every else None


def place_numbers(store: Store, target: str) -> list[str]:
    """Columns of numbers that say where or when a row was made."""
    return [
        c.name for c in store.schema.columns if c.name in PLACES and c.type in ("int64", "float64") and c.name != target
    ]


def options_of(store: Store, target: str) -> tuple[list[list[str] | None] | None, list[str | None] | None]:
    """[row] options and keys, where the store has such columns and they are not the target."""
    kinds = {column.name: column.type for column in store.schema.columns if column.name != target}
    shown = next((name for name in OPTIONS if kinds.get(name) == "list<string>"), None)
    key = next((name for name in KEYS if kinds.get(name) in ("string", "int64")), None)
    options = None if shown is None else store.table([shown]).column(0).to_pylist()
    if key is None:
        return options, None
    return options, [None if k is None else str(k) for k in store.table([key]).column(0).to_pylist()]


def different(columns: dict[str, NDArray[np.float64]]) -> list[str]:
    """Names of the columns that vary and are no copy of an earlier one."""
    seen: set[bytes] = set()
    names = []
    for name, values in columns.items():
        digest = values.tobytes()
        if np.ptp(values) > 0 and digest not in seen:
            seen.add(digest)
            names.append(name)
    return names


def table_of(columns: dict[str, Floats], names: Sequence[str], rows: int) -> Floats:
    """[row, column] of the named columns."""
    return np.stack([columns[name] for name in names], 1) if names else np.zeros((rows, 0))


def _kinds(store: Store, target: str) -> list[tuple[str, list[str | None]]]:
    types = {column.name: column.type for column in store.schema.columns if column.name != target}
    names = [name for name in (*KINDS, *KEYS) if types.get(name) in ("string", "int64", "bool")]
    names = [name for name in names if types[name] == "string" or name in KINDS]
    return [
        (name, [None if value is None else str(value) for value in store.table([name]).column(0).to_pylist()])
        for name in names
    ]
