"""A question's four options: a list under one name, or four columns.

Owns: the names and shapes in which options come, and that there are four different ones.
Does not know: keys, questions, where records come from.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lit_experiments.sources.answers import LETTERS
from lit_experiments.sources.values import BadValueError, find_name, has, text_of

OPTIONS = ("options", "choices")
_FOUR = ("abcd", "1234", "0123")
_PREFIXES = ("", "option", "choice", "opt", "answer")


def four_options(record: Mapping[str, Any], given: str | Sequence[str] | None) -> tuple[str, str, str, str]:
    """Four different, non-blank texts.

    Args:
        given: the column with the list of options, or the four columns' names; None to find them by their usual names.

    Raises:
        BadValueError: anything else.
    """
    if given is not None and not isinstance(given, str) and len(given) == 4:
        names: Sequence[str] = given
    else:
        single = given if given is None or isinstance(given, str) else given[0]
        name = has(record, single, OPTIONS)
        if name is not None:
            return _four(_listed(record[name], name), [f"{name}[{i}]" for i in range(4)])
        names = four_names(record) if single is None else [find_name(record, single, (), "--options_column")]
    return _four([record[find_name(record, name, (), "--options_column")] for name in names], names)


def four_names(record: Mapping[str, Any]) -> list[str]:
    """The names of four columns that hold one option each.

    Raises:
        BadValueError: there are no such four.
    """
    plain = {str(name).lower().replace("_", "").replace(" ", ""): str(name) for name in record}
    for prefix in _PREFIXES:
        for marks in _FOUR:
            if prefix + marks[0] in plain and all(prefix + mark in plain for mark in marks):
                return [plain[prefix + mark] for mark in marks]
    has_them = ", ".join(map(str, record)) or "nothing"
    raise BadValueError(f"no options, choices, or four columns A-D; it has: {has_them} (--options_column names them)")


def _listed(value: Any, name: str) -> list[Any]:
    """Options as a list: a list, {"A": ..., "D": ...}, {"text": [...]}, or one of these written out as text (CSV)."""
    if isinstance(value, str):
        value = _written_out(value, name)
    if isinstance(value, Mapping):
        letters = {str(key).strip().upper(): each for key, each in value.items()}
        if sorted(letters) == list(LETTERS):
            return [letters[letter] for letter in LETTERS]
        labels = [str(label).strip() for label in value.get("label", LETTERS)]
        value = value.get("text") if labels in (list(LETTERS), list("0123")) else None
    if not isinstance(value, list | tuple):
        raise BadValueError(f'"{name}" must be a list of four options, found {type(value).__name__}')
    return list(value)


def _written_out(text: str, name: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError):
            continue
    raise BadValueError(f'"{name}" must be a list of four options, found the text {text[:40]!r}')


def _four(values: Sequence[Any], names: Sequence[str]) -> tuple[str, str, str, str]:
    if len(values) != 4:
        raise BadValueError(f"{len(values)} options where four belong")
    a, b, c, d = (text_of(value, name) for value, name in zip(values, names, strict=True))
    for i, one in enumerate((a, b, c, d)):
        for j, other in enumerate((a, b, c, d)[:i]):
            if one == other:
                raise BadValueError(f"options {LETTERS[j]} and {LETTERS[i]} are the same: {one[:60]!r}")
    return a, b, c, d
