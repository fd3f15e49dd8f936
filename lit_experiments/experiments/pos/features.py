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
    return [[*alone[place], *_around(words, lower, place)] for place in range(len(words))]


@lru_cache(maxsize=1 << 17)
def _alone(word: str) -> tuple[str, ...]:
    low = word.lower()
    names = ["bias", f"w={low}", f"form={word}", f"shape={shape(word)}"]
    names += [f"s{n}={low[-n:]}" for n in range(1, 5) if len(low) > n]
    names += [f"p{n}={low[:n]}" for n in range(1, 4) if len(low) > n]
    if word[:1].isupper():
        names.append("title" if word[1:].islower() else "upper")
    if any(c.isdigit() for c in word):
        names.append("digit")
    if not any(c.isalnum() for c in word):
        names.append("signs")
    return tuple(names)


@lru_cache(maxsize=1 << 17)
def shape(word: str) -> str:
    """Runs of capitals as X, of small letters as x, of digits as 9: "McDonald's" is XxXx'x."""
    for pattern, sign in _RUNS:
        word = pattern.sub(sign, word)
    return word


def _around(words: Sequence[str], lower: Sequence[str], place: int) -> list[str]:
    names = []
    for step, sign in _SIDES:
        other = place + step
        if not 0 <= other < len(words):
            names.append(f"{sign}none")
            continue
        names.append(f"{sign}w={lower[other]}")
        if abs(step) == 1:
            names += [f"{sign}s3={lower[other][-3:]}", f"{sign}s2={lower[other][-2:]}"]
            names.append(f"{sign}shape={shape(words[other])}")
    if place > 0:
        names.append(f"-w|w={lower[place - 1]}|{lower[place]}")
    if place + 1 < len(words):
        names.append(f"w|+w={lower[place]}|{lower[place + 1]}")
    return names
