"""The user's columns: what type each has, the name that it is stored under, and its values as that type.

Types are known when every record has been seen; until then values are kept as JSON. Text files of cells (CSV) have only
words: a column whose cells are all numbers, or all true and false, is taken for what it spells, and blank cells are
missing values. Knows no store but its types' names.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")
_TRUTH = {"true": True, "false": False}
_INT64 = range(-(2**63), 2**63)
_SCALARS = ("bool", "int64", "float64", "string")


class UserColumns:
    """Collects, record by record, what kinds of values each column holds."""

    def __init__(self, spelled: bool) -> None:
        """spelled: whether all values are words (CSV)."""
        self.spelled = spelled
        self._kinds: dict[str, set[str]] = {}

    def observe(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record's values as JSON holds them; missing ones (null, NaN, blank cells) and raw bytes are left out."""
        values = {}
        for name, raw in record.items():
            kinds = self._kinds.setdefault(name, set())
            value = _blank_to_none(raw) if self.spelled else _plain(raw)
            if value is _BYTES:
                kinds.add("bytes")
            elif value is not None:
                kinds.add(_spelled_kind(value) if self.spelled else _kind(value))
                values[name] = value
        return values

    def types(self) -> dict[str, str | None]:
        """Column -> type of a store's column; None for a column of raw bytes, which cannot be one."""
        return {name: _common(kinds, self.spelled) for name, kinds in self._kinds.items()}

    def mixed(self) -> list[str]:
        """Columns that hold texts as well as numbers or truth values, and are stored as text."""
        if self.spelled:
            return []
        return [name for name, kinds in self._kinds.items() if len(kinds) > 1 and _common(kinds, False) == "string"]


def cast(value: Any, kind: str, spelled: bool) -> Any:
    """A value of `UserColumns.observe` as a column's type has it."""
    if value is None:
        return None
    if kind == "json":
        return json.loads(value) if spelled else value
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    if spelled:
        return _TRUTH[value.strip().lower()] if kind == "bool" else (int if kind == "int64" else float)(value)
    return float(value) if kind == "float64" else value


@dataclass(frozen=True)
class StoredNames:
    """names: the user's name -> the store's; notes: what was renamed."""

    names: dict[str, str]
    notes: list[str]


def stored_names(columns: Sequence[str], taken: Collection[str]) -> StoredNames:
    """Names that a store can have (letters, digits, "_" and "-", a letter first), none of which is taken."""
    used, names, notes = set(taken), dict[str, str](), list[str]()
    plain = {name for name in columns if _usable(name) == name}
    for name in columns:
        usable = _usable(name)
        stem = f"user_{usable}" if usable in taken else usable
        stored, number = stem, 2
        while stored in used or (stored != name and stored in plain):
            stored, number = f"{stem}_{number}", number + 1
        used.add(stored)
        names[name] = stored
        if stored != name:
            notes.append(f'column "{name}" is stored as {stored}')
    return StoredNames(names, notes)


def _usable(name: str) -> str:
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    usable = re.sub(r"[^A-Za-z0-9_-]+", "_", bare)
    usable = usable if usable == name else usable.strip("_")
    return usable if re.match(r"[A-Za-z]", usable) else f"column_{usable}".rstrip("_")


class _Bytes:
    """What stands for raw bytes."""


_BYTES = _Bytes()


def _blank_to_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _plain(value: Any) -> Any:
    """A value as JSON holds it: dates and the like as text, NaN as None."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes | bytearray):
        return _BYTES
    if isinstance(value, Mapping):
        parts = {str(key): _finite(_plain(part)) for key, part in value.items()}
        return _BYTES if any(part is _BYTES for part in parts.values()) else parts
    if isinstance(value, Sequence):
        entries = [_finite(_plain(part)) for part in value]
        return _BYTES if any(part is _BYTES for part in entries) else entries
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _finite(value: Any) -> Any:
    """Inside of nested values JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names = {int: "int64", float: "float64", str: "string"}
    return names.get(type(value), "json")


def _spelled_kind(word: str) -> str:
    word = word.strip()
    if _WHOLE.fullmatch(word):
        return "int64"
    if any(c.isdigit() for c in word) and _NUMBER.fullmatch(word):
        return "float64"
    return "bool" if word.lower() in _TRUTH else "string"


def _common(kinds: Collection[str], spelled: bool) -> str | None:
    """The one type that holds values of all these kinds."""
    if "bytes" in kinds:
        return None
    if not kinds or len(kinds) == 1:
        return next(iter(kinds), "string")
    if set(kinds) == {"int64", "float64"}:
        return "float64"
    return "string" if spelled or set(kinds) <= set(_SCALARS) else "json"
