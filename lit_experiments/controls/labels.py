"""Labels of a store's rows or of their tokens: from its columns, or from a table that is joined by sample_id.

Owns: where labels come from, and whether they are numbers or classes. Does not know: splits, states.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import Untestable, UserError
from lit_experiments.sources.records import open_records
from stores import Store
from stores.schema import nearest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TargetType = Literal["auto", "number", "class"]
ID = "sample_id"
_REFUSED = ("json",)


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one target, before any are left out.

    values: [row], or [entry] of all rows one after the other where `lengths` [row] says how many entries each has;
    text of classes (None is missing) or numbers (NaN is missing). distinct: how many different ones. reason: why they
    are numbers or classes.
    """

    name: str
    values: NDArray[Any]
    lengths: Ints | None
    numeric: bool
    distinct: int
    reason: str

    @property
    def missing(self) -> NDArray[np.bool_]:
        """[row] or [entry]"""
        if self.numeric:
            return np.isnan(self.values.astype(np.float64))
        return np.array([value is None for value in self.values], bool)


class LabelTable:
    """Columns of labels by sample: those of the store, over which a file's columns come."""

    def __init__(self, store: Store, file: str | None) -> None:
        """file: of a table with a column sample_id.

        Raises:
            UserError: no such column, a sample named twice, or no sample of this store among them.
        """
        self.store, self.file = store, file
        self._joined: dict[str, list[Any]] = {}
        self.digest: str | None = None
        self.unmatched = 0
        if file is not None:
            self._join(file)

    @property
    def names(self) -> list[str]:
        """Columns that may be labels."""
        ours = [column.name for column in self.store.schema.columns if column.type not in _REFUSED]
        return [*dict.fromkeys([*self._joined, *ours])]

    @property
    def joined(self) -> list[str]:
        """The columns of the file."""
        return list(self._joined)

    def values(self, name: str, option: str) -> list[Any]:
        """One column, [row] as Python values; lists for labels of tokens.

        Raises:
            UserError: there is no such column, or one that holds no labels.
        """
        if name in self._joined:
            return self._joined[name]
        if name not in self.names:
            kinds = {column.name: column.type for column in self.store.schema.columns}
            if name in kinds:
                raise UserError(
                    f"{option} {name}: this column of {self.store.path} holds {kinds[name]} values, which are no "
                    f"labels.\nColumns that may be: {', '.join(self.names)}."
                )
            raise UserError(
                f"{option} {name}: {self.store.path} has no such column{nearest(name, self.names)}.\n"
                f"Columns: {', '.join(self.names) or 'none'}. Labels from a table: --labels FILE, joined by {ID}."
            )
        return list(self.store.table([name]).column(0).to_pylist())

    def missing(self, name: str) -> int:
        """How many rows have no value in a column."""
        return sum(_blank(value) for value in self.values(name, "--target"))

    def _join(self, file: str) -> None:
        stream = open_records(file, "--labels")
        if stream.columns is not None and ID not in stream.columns:
            raise UserError(
                f"--labels {file} has no column {ID}, by which it is joined; it has: {', '.join(stream.columns)}."
            )
        rows: dict[str, dict[str, Any]] = {}
        for place, record in stream:
            if ID not in record:
                raise UserError(f"--labels {file}, {stream.unit} {place}: no {ID}; every record needs one.")
            key = str(record[ID])
            if key in rows:
                raise UserError(f"--labels {file}: {ID} {key!r} comes twice; every sample has one label.")
            rows[key] = record
        ids = self.store.sample_ids
        known = [key for key in ids if key in rows]
        if not known:
            example = next(iter(rows), "none")
            raise UserError(
                f"--labels {file}: none of its {len(rows)} ids is a {ID} of {self.store.path}; it has {example!r}, the "
                f"store has {ids[0]!r}.\nNext: lit-experiments export RUN --format jsonl shows the store's ids."
            )
        self.unmatched = len(rows) - len(known)
        names = dict.fromkeys(name for record in rows.values() for name in record if name != ID)
        self._joined = {name: [rows.get(key, {}).get(name) for key in ids] for name in names}
        content = json.dumps([[key, rows[key]] for key in sorted(rows)], sort_keys=True, default=str)
        self.digest = hashlib.sha256(content.encode()).hexdigest()


def read_labels(table: LabelTable, name: str, kind: TargetType, most_classes: int) -> Labels:
    """The labels of a target, and whether they are numbers or classes.

    Args:
        kind: which of the two, or auto: text and truth values are classes, and so are whole numbers of at most
            `most_classes` different values; all others are numbers.

    Raises:
        UserError: unknown column, an infinite label, or text where numbers are wanted.
        Untestable: no label at all, or labels that are all the same.
    """
    column = table.values(name, "--target")
    lengths = None
    if any(isinstance(value, list | tuple) for value in column):
        lengths = np.array([0 if value is None else len(value) for value in column], np.int64)
        column = [entry for value in column if value is not None for entry in value]
    values = [None if _blank(value) else value for value in column]
    present = [value for value in values if value is not None]
    if not present:
        raise Untestable(f"not one of {len(values)} labels has a value.\nNext: collect rows with labels, or --labels.")
    infinite = sum(isinstance(value, float) and math.isinf(value) for value in present)
    if infinite:
        raise UserError(
            f"--target {name}: {infinite} of {len(present)} labels are infinite.\nNext: give these rows no label, "
            "which leaves them out."
        )
    numbers = _numbers(present)
    if kind == "number" and numbers is None:
        text = next(value for value in present if _numbers([value]) is None)
        raise UserError(f"--target_type number: target {name} has labels such as {text!r}, which are no numbers.")
    numeric, reason = _chosen(present, numbers, kind, most_classes)
    if numeric:
        assert numbers is not None
        filled = iter(numbers)
        array: NDArray[Any] = np.array([math.nan if value is None else next(filled) for value in values], np.float64)
    else:
        array = np.array([None if value is None else class_name(value) for value in values], object)
    distinct = len(set(array[~_missing(array, numeric)].tolist()))
    if distinct < 2:
        raise Untestable(
            f"{_all_of(len(present))} {class_name(present[0])!r}; there is nothing to tell apart.\nNext: leave it "
            "out, or collect rows of other labels."
        )
    return Labels(name, array, lengths, numeric, distinct, reason)


def _all_of(count: int) -> str:
    return "the only label is" if count == 1 else f"all {count} labels are"


def class_name(value: Any) -> str:
    """What a class is called: true and false in small letters, whole numbers without a point."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _missing(values: NDArray[Any], numeric: bool) -> NDArray[np.bool_]:
    return np.isnan(values) if numeric else np.array([value is None for value in values], bool)


def _blank(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _numbers(values: Sequence[Any]) -> list[float] | None:
    """The values as finite numbers; None where some are none. Tables without types hold numbers as text."""
    if any(isinstance(value, bool | np.bool_) for value in values):
        return None
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _chosen(values: Sequence[Any], numbers: list[float] | None, kind: TargetType, most: int) -> tuple[bool, str]:
    """Whether labels are numbers, and why."""
    if kind != "auto":
        return kind == "number", f"--target_type {kind}"
    if numbers is None:
        return False, "truth values" if all(isinstance(value, bool) for value in values) else "text"
    distinct = len(set(numbers))
    if all(number.is_integer() for number in numbers) and distinct <= most:
        return False, f"{distinct} different whole numbers"
    return True, f"{distinct} different numbers"
