"""What must hold of the intervals on any page and in any JSON file, however few groups there were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_experiments.statistics import LEAST_GROUPS

_NUMBER = r"-?\d[\d.]*(?:e[+-]\d+)?"
_INTERVAL = re.compile(rf"{_NUMBER} \[(\S+), (\S+)\]")


def shown(page: str) -> list[tuple[str, str]]:
    """The bounds of every interval on a page, as they are printed."""
    return _INTERVAL.findall(page)


def estimates(value: Any) -> Iterator[dict[str, Any]]:
    """Every estimate in a JSON value."""
    if isinstance(value, dict):
        if {"value", "low", "high", "n", "level"} <= value.keys():
            yield value
        for inner in value.values():
            yield from estimates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from estimates(inner)


def check(out: Path, groups: int) -> None:
    """A results folder made from `groups` groups at most.

    No interval without width and no NaN is printed or written; from fewer than LEAST_GROUPS there is none at all, the
    number of groups is said, and nothing is said to lie above or below.
    """
    page = (out / "RESULTS.md").read_text(encoding="utf-8")
    bounds = shown(page)
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    assert all(low != high for low, high in bounds), [pair for pair in bounds if pair[0] == pair[1]]
    written = [e for file in out.glob("*.json") for e in estimates(json.loads(file.read_text(encoding="utf-8")))]
    for estimate in written:
        assert (estimate["low"] is None) == (estimate["high"] is None)
        assert estimate["low"] is None or estimate["n"] >= LEAST_GROUPS
        assert estimate["low"] is None or estimate["low"] < estimate["high"]
    if groups < LEAST_GROUPS:
        assert not bounds, bounds[:3]
        assert f"{groups} group" in page
    else:
        assert bounds
