"""What the default tagger sees of a word: itself, its ends, its shape, and its neighbours on both sides. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_SIDES = ((-2, "--"), (-1, "-"), (1, "+"), (2, "++"))
_RUNS = ((re.compile(r"[A-Z]+"), "X"), (re.compile(r"[a-z]+"), "x"), (re.compile(r"\d+"), "9"))


def features(words: Sequence[str]) -> list[list[str]]:
    """Per word, the names of the features it has."""
    alone = [_alone(word) for word in words]
    lower = [word.lower() for word in words]
    return [[*alone[at], *_around(words, lower, at)] for at in range(len(words))]


@lru_cache(maxsize=1 << 17)
def _alone(word: str) -> tuple[str, ...]:
    low = word.lower()
    found = ["bias", f"w={low}", f"form={word}", f"shape={shape(word)}"]
    found += [f"s{n}={low[-n:]}" for n in range(1, 5) if len(low) > n]
    found += [f"p{n}={low[:n]}" for n in range(1, 4) if len(low) > n]
    if word[:1].isupper():
        found.append("title" if word[1:].islower() else "upper")
    if any(c.isdigit() for c in word):
        found.append("digit")
    if not any(c.isalnum() for c in word):
        found.append("signs")
    return tuple(found)


@lru_cache(maxsize=1 << 17)
def shape(word: str) -> str:
    """Runs of capitals as X, of small letters as x, of digits as 9: "McDonald's" is XxXx'x."""
    for pattern, sign in _RUNS:
        word = pattern.sub(sign, word)
    return word


def _around(words: Sequence[str], lower: Sequence[str], at: int) -> list[str]:
    found = []
    for step, sign in _SIDES:
        other = at + step
        if not 0 <= other < len(words):
            found.append(f"{sign}none")
            continue
        found.append(f"{sign}w={lower[other]}")
        if abs(step) == 1:
            found += [f"{sign}s3={lower[other][-3:]}", f"{sign}s2={lower[other][-2:]}"]
            found.append(f"{sign}shape={shape(words[other])}")
    if at > 0:
        found.append(f"-w|w={lower[at - 1]}|{lower[at]}")
    if at + 1 < len(words):
        found.append(f"w|+w={lower[at]}|{lower[at + 1]}")
    return found
