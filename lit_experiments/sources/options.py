"""A question's four options: a list, a mapping, four columns, or the right answer next to three wrong ones.

Owns: the shapes in which options come, their labels, that there are four different ones, and where the right one is put
in layouts that give no order. Does not know: keys, questions, where records come from.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from lit_experiments.sources.layouts import OPTIONS, RIGHT, WRONG, WRONG_PREFIXES, plain, usual_name
from lit_experiments.sources.values import BadValueError, find_name, is_blank, number_or_text
from lit_experiments.sources.written_out import parse_written

LETTERS = "ABCD"
_RUNS = (string.ascii_lowercase, "123456789", "0123456789")
_PREFIXES = ("", "option", "choice", "opt", "answer", "op", "ending", "sol")
_TEXTS, _LABELS = ("text", "option", "choice", "choices"), ("label", "labels", "key")
_MARK = re.compile(r"\s*\(?([A-Za-z])\s*[).:]\s*(?=\S)")


@dataclass(frozen=True)
class Options:
    """A question's options.

    Attributes:
        texts: four different, non-blank texts.
        labels: what keys call them, where the source says so ("1" to "4").
        right: the right one, where the layout itself tells it.
        placed: whether its place was drawn here, since the layout gives no order.
    """

    texts: tuple[str, str, str, str]
    labels: tuple[str, ...] | None = None
    right: int | None = None
    placed: bool = False


def read_options(
    record: Mapping[str, Any], question: str, given: str | Sequence[str] | None, label_column: str | None
) -> Options:
    """A record's four options.

    Args:
        question: its text; where the layout has a right answer and three wrong ones without an order, the right one's
            place is drawn from this text, so that it is the same wherever the question is read.
        given: the column with the options, or the four columns' names; None to find them by their usual names.
        label_column: the column with the list of what keys call the options.

    Raises:
        BadValueError: anything else.
    """
    options = _options(record, question, given)
    if label_column is None:
        return options
    name = find_name(record, label_column, (), "--label_column")
    return replace(options, labels=_labels(_listed(record[name], name), len(options.texts)))


def without_marks(options: Options) -> Options:
    """Options whose texts no longer begin with their own letters ("A)21" -> "21"); as they are where any does not."""
    marks = [_MARK.match(text) for text in options.texts]
    if any(mark is None or mark[1].upper() != letter for mark, letter in zip(marks, LETTERS, strict=True)):
        return options
    a, b, c, d = (text[mark.end() :] for text, mark in zip(options.texts, marks, strict=True) if mark)
    return replace(options, texts=(a, b, c, d))


def _options(record: Mapping[str, Any], question: str, given: str | Sequence[str] | None) -> Options:
    if given is not None and not isinstance(given, str) and len(given) > 1:
        return Options(_four([(name, record.get(name)) for name in given]))
    single = given if given is None or isinstance(given, str) else given[0]
    name = usual_name(record, OPTIONS) if single is None else find_name(record, single, (), "--options_column")
    if name is not None:
        return _in_one(record[name], name)
    run = _run(record)
    if run:
        return Options(_four(_filled([(column, record[column]) for column in run])))
    wrong, right = _wrong(record), usual_name(record, RIGHT)
    if wrong is not None and right is not None:
        return _placed(question, (right, record[right]), wrong)
    keys = ", ".join(map(str, record)) or "nothing"
    raise BadValueError(f"no options, choices, or four columns A-D; it has: {keys} (--options_column names them)")


def _in_one(value: Any, name: str) -> Options:
    """Options under one name: a list, a list of {label, text}, {text: [...], label: [...]}, or {A: ..., B: ...}."""
    if isinstance(value, str):
        value = _written(value, name)
    if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
        value = {"text": [_of(item, _TEXTS) for item in value], "label": [_of(item, _LABELS) for item in value]}
    if not isinstance(value, Mapping):
        return Options(_four([(f"{name}[{i}]", item) for i, item in enumerate(_listed(value, name))]))
    texts = _of(value, _TEXTS)
    if not isinstance(texts, list | tuple):
        return _mapped(value, name)
    four = _four([(f"{name}[{i}]", item) for i, item in enumerate(texts)])
    marks = _of(value, _LABELS)
    if marks is None or all(mark is None for mark in marks):
        return Options(four)
    if plain(name) == "mc1targets":
        return Options(four, right=_flagged(marks, name))
    return Options(four, _labels(marks, len(texts)))


def _mapped(value: Mapping[Any, Any], name: str) -> Options:
    """Options by label, {A: ..., B: ...}, or by text, {text: 1, ...}, where a 1 stands at the right one."""
    if plain(name) == "mc1targets":
        four = _four([(f"{name}[{i}]", text) for i, text in enumerate(value)])
        return Options(four, right=_flagged(list(value.values()), name))
    items = [(str(key).strip(), item) for key, item in value.items() if item is not None]
    run = _ordered([key for key, _ in items])
    if run is None:
        raise BadValueError(
            f'"{name}" must be a list of four options, found an object with {", ".join(map(str, value))}'
        )
    by_label = dict(items)
    filled = _filled([(key, by_label[key]) for key in run])
    four = _four([(f"{name}[{key}]", item) for key, item in filled])
    return Options(four, tuple(key for key, _ in filled))


def _ordered(keys: Sequence[str]) -> list[str] | None:
    """Keys in the order of the letters or numbers they are; None if they are neither from the first on."""
    spelled = {key.lower(): key for key in keys}
    for marks in _RUNS:
        if len(spelled) == len(keys) > 1 and set(spelled) == set(marks[: len(keys)]):
            return [spelled[mark] for mark in marks[: len(keys)]]
    return None


def _run(record: Mapping[str, Any]) -> list[str]:
    """The columns that hold one option each: A, B, C, ... or option_1, option_2, ..., as far as they go.

    Raises:
        BadValueError: two columns of one such name.
    """
    spelled: dict[str, list[str]] = {}
    for name in record:
        spelled.setdefault(plain(str(name)), []).append(name)
    for prefix in _PREFIXES:
        runs = [list(takewhile(spelled.__contains__, (prefix + mark for mark in marks))) for marks in _RUNS]
        longest = [spelled[name] for name in max(runs, key=len)]
        if len(longest) > 1:
            return [_single(names) for names in longest]
    return []


def _single(names: Sequence[str]) -> str:
    if len(names) > 1:
        raise BadValueError(f"columns {' and '.join(names)} have one meaning (--options_column names the right ones)")
    return names[0]


def _wrong(record: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """The wrong answers of a layout that has the right one apart."""
    name = usual_name(record, WRONG)
    if name is not None:
        value = record[name]
        listed = [] if value == "" else _listed(_written(value, name) if isinstance(value, str) else value, name)
        return [(f"{name}[{i}]", item) for i, item in enumerate(listed)]
    spelled = {plain(str(name)): name for name in record}
    for prefix in WRONG_PREFIXES:
        names = [spelled[prefix + mark] for mark in "123456789" if prefix + mark in spelled]
        if names:
            return _filled([(name, record[name]) for name in names])
    return None


def _placed(question: str, right: tuple[str, Any], wrong: Sequence[tuple[str, Any]]) -> Options:
    texts = _four([right, *wrong])
    place = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8], "big") % len(texts)
    others = list(texts[1:])
    others.insert(place, texts[0])
    a, b, c, d = others
    return Options((a, b, c, d), right=place, placed=True)


def _of(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _flagged(flags: Any, name: str) -> int:
    right = [i for i, flag in enumerate(flags) if flag in (1, True, "1")]
    if len(right) != 1:
        raise BadValueError(f'"{name}" marks {len(right)} options as right; exactly one must be')
    return right[0]


def _labels(marks: Any, count: int) -> tuple[str, ...]:
    if not isinstance(marks, list | tuple) or len(marks) != count:
        size = len(marks) if isinstance(marks, list | tuple) else type(marks).__name__
        raise BadValueError(f"{count} options, but their labels are {size}")
    labels = tuple(str(mark).strip() for mark in marks)
    if len(set(labels)) < count:
        raise BadValueError(f"two options have one label: {', '.join(labels)}")
    return labels


def _listed(value: Any, name: str) -> list[Any]:
    if isinstance(value, str):
        value = _written(value, name)
    if not isinstance(value, list | tuple):
        raise BadValueError(f'"{name}" must be a list of four options, found {type(value).__name__}')
    return list(value)


def _written(text: str, name: str) -> Any:
    try:
        return parse_written(text)
    except ValueError as error:
        raise BadValueError(f'"{name}" must be a list of four options, found the text {text[:40]!r}') from error


def _filled(named: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Without the blank ones at the end: a table has a column E for every question where one of them has a fifth."""
    while named and is_blank(named[-1][1]):
        named = named[:-1]
    return named


def _four(named: Sequence[tuple[str, Any]]) -> tuple[str, str, str, str]:
    if len(named) != 4:
        raise BadValueError(_wrong_count(named))
    a, b, c, d = (number_or_text(value, name) for name, value in named)
    for i, one in enumerate((a, b, c, d)):
        for j, other in enumerate((a, b, c, d)[:i]):
            if one == other:
                raise BadValueError(f"options {LETTERS[j]} and {LETTERS[i]} are the same: {one[:60]!r}")
    return a, b, c, d


def _wrong_count(named: Sequence[tuple[str, Any]]) -> str:
    count = f"{len(named)} options where four belong"
    if len(named) < 4:
        return f"{count} ({', '.join(name for name, _ in named) or 'none'})"
    name, value = named[4]
    return f"{count}; the fifth is {name}: {str(value)[:60]!r}"
