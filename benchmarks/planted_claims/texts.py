"""Texts of synthetic claims: sentences of a made-up language in several styles, questions' options, slots in templates.

Owns: what texts look like. Does not know: labels, states.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import numpy as np

_ONSETS = ("b", "br", "d", "f", "gr", "h", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "w")
_RIMES = ("a", "ad", "al", "an", "ar", "e", "el", "en", "er", "i", "il", "in", "o", "on", "or", "u", "um", "une")
_ASKING = ("what", "which", "who", "where", "when", "how", "why")
STYLES = ("sentences", "questions", "numbered")
LETTERS = "ABCD"
_SYLLABLES = (0.3, 0.8)
"""Shares of words that have at most one, and at most two."""


def vocabulary(rng: np.random.Generator, size: int) -> list[str]:
    """Different made-up words of one to three syllables."""
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = 1 + bisect(_SYLLABLES, rng.random())
        words["".join(_drawn(rng, _ONSETS) + _drawn(rng, _RIMES) for _ in range(syllables))] = None
    return list(words)


def _drawn(rng: np.random.Generator, parts: Sequence[str]) -> str:
    """What `rng.choice` draws, without the array that it makes each time."""
    return parts[rng.integers(len(parts))]


def sentences(rng: np.random.Generator, rows: int, shortest: int = 8, longest: int = 40) -> list[list[str]]:
    """[row] words: as common as Zipf's law has them, from `shortest` to `longest` of them."""
    words = np.array(vocabulary(rng, int(rng.integers(150, 500))))
    share = 1 / np.arange(3, len(words) + 3)
    share /= share.sum()
    lengths = rng.integers(shortest, longest + 1, rows)
    return [rng.choice(words, length, p=share).tolist() for length in lengths]


def joined(words: Sequence[Sequence[str]]) -> list[str]:
    """Words as sentences."""
    return [" ".join(text).capitalize() + "." for text in words]


def plain_texts(rng: np.random.Generator, rows: int, style: str | None = None) -> list[str]:
    """Texts that have nothing to do with a label; style: of STYLES, None draws one."""
    chosen = style or str(rng.choice(STYLES, p=[0.5, 0.35, 0.15]))
    if chosen == "sentences":
        return joined(sentences(rng, rows))
    words = np.array(vocabulary(rng, 400))
    if chosen == "questions":
        openings = rng.choice(_ASKING, rows)
        return [
            f"{first.capitalize()} {' '.join(rng.choice(words, rng.integers(6, 14)))}?" for first in openings.tolist()
        ]
    return [f"Question {i} about {' and '.join(rng.choice(words, 2, replace=False))}." for i in range(rows)]


def with_word(words: Sequence[str], word: str, rng: np.random.Generator) -> list[str]:
    """A text in which one word is replaced by `word`, at a random place."""
    place = int(rng.integers(len(words)))
    return [*words[:place], word, *words[place + 1 :]]


def plain_options(rng: np.random.Generator, rows: int) -> list[list[str]]:
    """[row] four options of one to four words."""
    words = np.array(vocabulary(rng, 300))
    return [[" ".join(rng.choice(words, rng.integers(1, 5))) for _ in LETTERS] for _ in range(rows)]


def plain_key(rng: np.random.Generator, rows: int) -> list[str]:
    """[row] the letter of the right option."""
    return rng.choice([*LETTERS], rows).tolist()


def templates(rng: np.random.Generator, count: int, slots: int = 2) -> list[list[str | None]]:
    """Sentences with gaps: None stands for a word to come."""
    made: list[list[str | None]] = []
    for words in sentences(rng, count, 14, 22):
        gaps = set(rng.choice(len(words), slots, replace=False).tolist())
        made.append([None if place in gaps else word for place, word in enumerate(words)])
    return made


def filled(template: Sequence[str | None], rng: np.random.Generator, words: Sequence[str]) -> str:
    """A template with random words in its gaps."""
    return joined([[str(rng.choice(words)) if word is None else word for word in template]])[0]
