"""Numbers that are written in texts, in digits or in English words, and months: their sizes, sums and remainders.

Pure functions of texts; knows no store. A sum that a text asks for, or the larger of two numbers, is on its surface.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: number for number, word in enumerate(_SMALL)} | {w: 20 + 10 * i for i, w in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NAMES = "|".join(sorted([*_VALUES, *_SCALES], key=len, reverse=True))
_NUMBER = re.compile(
    rf"(?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)|\b(?P<words>(?:{_NAMES})(?:(?:-|\s+(?:and\s+)?)(?:{_NAMES}))*)\b",
    re.IGNORECASE,
)
_LARGEST = 1e12
_FEWEST = 0.05
"""Share of texts below which what they alone hold is no feature."""
_SHOWN = 3
"""Numbers of a text that are features of their own, from its start."""


def written_numbers(text: str) -> list[float]:
    """The numbers of a text in order: 1,250 and 3.5, seventeen, forty-two, three hundred and five."""
    numbers = []
    for match in _NUMBER.finditer(text):
        if match["digits"]:
            numbers.append(min(float(match["digits"].replace(",", "")), _LARGEST))
        else:
            numbers += _spoken(re.findall(r"[a-z]+", match["words"].casefold()))
    return numbers


def number_columns(texts: Sequence[str]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """(sizes, remainders) of the numbers of each text, [n] each: how many, the first ones, the last, and what the first
    two make together; what is left of them when they are divided by 2, 3 and 10. A text without has the others' mean.
    """
    rows = [written_numbers(text) for text in texts]
    columns = {f"number {i + 1}": [row[i] if len(row) > i else np.nan for row in rows] for i in range(_SHOWN)}
    columns["last number"] = [row[-1] if row else np.nan for row in rows]
    columns["numbers in sum"] = [sum(row) if row else np.nan for row in rows]
    columns["largest number"] = [max(row) if row else np.nan for row in rows]
    first, second = (np.array(columns[f"number {i}"], np.float64) for i in (1, 2))
    both = {
        "number 1 and 2": first + second,
        "number 1 less 2": first - second,
        "number 1 by 2": first * second,
        "number 1 over 2": first / np.where(second == 0, np.nan, second),
    }
    known = {name: np.array(values, np.float64) for name, values in columns.items()} | both
    whole = {name: known[name] for name in ("number 1", "number 2", "last number", "number 1 and 2")}
    remainders = {
        f"{name} modulo {k}": np.mod(np.floor(values), k) for name, values in whole.items() for k in (2, 3, 10)
    }
    sizes = {"numbers": np.array([len(row) for row in rows], np.float64), **known, **_months(texts)}
    return _filled(sizes), _filled(remainders)


def _spoken(words: Sequence[str]) -> list[float]:
    """Numbers of words that follow each other: "forty two" is one, "four seven" are two."""
    numbers: list[float] = []
    total, part, last = 0.0, 0.0, ""
    for word in words:
        if word == "and":
            continue
        if word in _SCALES:
            scale = _SCALES[word]
            if scale == 100:
                part = max(part, 1.0) * scale
            else:
                total, part = total + max(part, 1.0) * scale, 0.0
        elif last and not _goes_on(last, word):
            numbers.append(total + part)
            total, part = 0.0, float(_VALUES[word])
        else:
            part += _VALUES[word]
        last = word
    return [*numbers, total + part] if last else numbers


def _goes_on(last: str, word: str) -> bool:
    """Whether a number word belongs to the number of the one before it."""
    return last in _SCALES or (last in _TENS and 0 < _VALUES[word] < 10)


def _months(texts: Sequence[str]) -> dict[str, Floats]:
    """The first month that is named with a capital, 1 to 12."""
    named = [re.search(rf"\b(?:{'|'.join(m.capitalize() for m in _MONTHS)})\b", text) for text in texts]
    return {"month": np.array([np.nan if m is None else _MONTHS.index(m[0].casefold()) + 1 for m in named], np.float64)}


def _filled(columns: dict[str, Floats]) -> dict[str, Floats]:
    """Columns with values in enough rows, the others' mean where there is none."""
    out = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        if known.mean() >= _FEWEST:
            out[name] = np.where(known, values, values[known].mean())
    return out
