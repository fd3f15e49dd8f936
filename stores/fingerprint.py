"""Fingerprints: a nested dict of what shapes the numbers, its canonical JSON, hash, and differences. Knows no files."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .errors import FingerprintError

ABSENT = "(absent)"


def canonical_json(value: Any, what: str = "Fingerprint") -> str:
    """JSON that is the same for equal content: sorted keys, no spaces, no NaN.

    Raises FingerprintError with the dotted key of what is not plain JSON (str, int, float, bool, None, list, tuple,
    dict).
    """
    _check_plain(value, "", what)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint_hash(fingerprint: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(fingerprint).encode()).hexdigest()


def fingerprint_difference(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Every leaf that differs, as (dotted key, value in a, value in b), sorted by key; `ABSENT` where one has none."""
    left, right = _leaves(a, ""), _leaves(b, "")
    keys = sorted(set(left) | set(right))
    pairs = ((key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys)
    return [(key, x, y) for key, x, y in pairs if type(x) is not type(y) or x != y]


def _leaves(value: Any, key: str) -> dict[str, Any]:
    if isinstance(value, dict) and (value or not key):
        return {
            k: v for name, item in value.items() for k, v in _leaves(item, f"{key}.{name}" if key else name).items()
        }
    if isinstance(value, tuple):
        value = list(value)
    return {key: value}


def _check_plain(value: Any, key: str, what: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise FingerprintError(f"{what} key {name!r} under {key or 'the top'!r} is not a string.")
            _check_plain(item, f"{key}.{name}" if key else name, what)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check_plain(item, f"{key}[{position}]", what)
    elif isinstance(value, float) and not -float("inf") < value < float("inf"):
        raise FingerprintError(f"{what} value {key!r} is {value}; JSON has no such number.")
    elif not (value is None or type(value) in (str, int, float, bool)):
        kind = type(value).__name__
        raise FingerprintError(f"{what} value {key!r} is a {kind} ({value!r}); use plain str, int, float, bool, list.")
