"""Where words stand in their texts: how far from the start, and which of two comes first.

Pure functions of texts; knows no store. Counts of words say nothing of their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_WORD = re.compile(r"\w+")
_PLACED, _ORDERED = 40, 25
"""Words whose places, and whose orders, are features: the commonest."""
_MOST_ORDERED = 20_000
"""Texts beyond which orders, of which there are hundreds, are no features."""
_FEWEST, _OFTEN = 0.05, 0.2
"""Share of texts that hold a word, or both of two, at least."""


def place_columns(texts: Sequence[str]) -> dict[str, Floats]:
    """[n] each: the place of the first time that a common word comes, in words and as a share of the text; for two of
    them whether the first (1) or the second (-1) comes first, 0 where not both do. Where a word does not come its place
    is the others' mean."""
    rows = [_WORD.findall(text.casefold()) for text in texts]
    first = [{word: len(row) - 1 - i for i, word in enumerate(reversed(row))} for row in rows]
    share = Counter(word for row in first for word in row)
    common = [word for word, times in share.most_common(_PLACED) if times >= _FEWEST * len(rows)]
    if not common:
        return {}
    place = np.array([[row.get(word, np.nan) for word in common] for row in first], np.float64)
    there = np.isfinite(place)
    length = np.array([max(1, len(row)) for row in rows], np.float64)
    mean = np.array([column[known].mean() for column, known in zip(place.T, there.T, strict=True)])
    columns: dict[str, Floats] = {}
    for i, word in enumerate(common):
        columns[f"place of {word}"] = np.where(there[:, i], place[:, i], mean[i])
        relative = place[:, i] / length
        columns[f"relative place of {word}"] = np.where(there[:, i], relative, relative[there[:, i]].mean())
    for i, one in enumerate(common[:_ORDERED] if len(rows) <= _MOST_ORDERED else []):
        for j, other in enumerate(common[:i]):
            both = there[:, i] & there[:, j]
            if both.mean() >= _OFTEN:
                columns[f"{one} before {other}"] = np.where(both, np.sign(place[:, j] - place[:, i]), 0.0)
    return columns
