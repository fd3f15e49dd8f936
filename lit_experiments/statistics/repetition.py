"""How much a text repeats itself. Pure functions on token ids."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_PHRASE, LEAST_REPEATS = 2, 3
"""A loop is a phrase of at least so many tokens, that many times in a row."""


def distinct(tokens: Sequence[int], n: int) -> float:
    """Distinct n-grams over all n-grams (Li et al. 2016, "A Diversity-Promoting Objective Function"): 1 without any
    repetition; NaN for a text shorter than n. It falls with length, so compare texts of one length."""
    grams = list(zip(*(tokens[start:] for start in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else float("nan")


def loops(tokens: Sequence[int]) -> bool:
    """Whether the text ends in a phrase of at least two tokens that stands there at least three times in a row (the
    repetition of Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration")."""
    longest = len(tokens) // LEAST_REPEATS
    return any(
        all(tokens[-i] == tokens[-i - phrase] for i in range(1, (LEAST_REPEATS - 1) * phrase + 1))
        for phrase in range(LEAST_PHRASE, longest + 1)
    )
