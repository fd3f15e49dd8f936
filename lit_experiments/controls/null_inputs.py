"""What models without states read: numbers with their bends, counts of words and of characters.

Owns: how features become matrices. Vocabularies are those of the training rows. Does not know: how anything is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats

_KNOTS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
"""Quantiles of a number at which it may bend or step."""
_MOST_TERMS = 30_000
_MOST_SELECTED = 1_500
_MOST_CELLS = 2e7
"""Numbers of a dense table of terms."""


def bends(numbers: Floats, train: NDArray[np.bool_]) -> Floats:
    """[n, F] the numbers, their squares, and for each a hinge and a step at quantiles of the training rows; of a number
    with two values the number alone."""
    every = standardised(numbers, train)
    scaled = every[:, [len(np.unique(column)) > 2 for column in every[train].T]]
    parts = [every, scaled.clip(-5, 5) ** 2]
    for knot in np.quantile(scaled[train], _KNOTS, axis=0) if scaled.shape[1] else ():
        parts += [np.maximum(scaled - knot, 0.0), (scaled > knot).astype(np.float64)]
    table = np.concatenate(parts, 1)
    return table[:, table[train].std(0) > 1e-9]


def standardised(numbers: Floats, train: NDArray[np.bool_]) -> Floats:
    """[n, F] with the training rows' mean 0 and deviation 1."""
    mean, scale = numbers[train].mean(0), numbers[train].std(0)
    return (numbers - mean) / np.where(scale > 0, scale, 1.0)


def term_counts(texts: Sequence[str], train: NDArray[np.bool_], kind: str) -> Any:
    """Sparse [n, term] counts of words and word pairs, of words alone, or of character n-grams within words; None where
    no term comes in two training texts. kind: words, single words or characters."""
    from sklearn.feature_extraction.text import CountVectorizer

    longest = 1 if kind == "single words" else 2
    settings: dict[str, Any] = {"ngram_range": (1, longest), "token_pattern": r"\S+", "lowercase": False}
    if kind == "characters":
        settings = {"analyzer": "char_wb", "ngram_range": (1, 4)}
    try:
        counts = CountVectorizer(**settings).fit_transform(texts).astype(np.float64).tocsc()
    except ValueError:  # an empty vocabulary
        return None
    common = np.asarray((counts.tocsr()[np.flatnonzero(train)] > 0).sum(0)).reshape(-1)
    used = np.sort(np.argsort(-common, kind="stable")[:_MOST_TERMS])
    used = used[common[used] > 1]
    return counts[:, used].tocsr() if len(used) else None


def weighted(counts: Any, train: NDArray[np.bool_]) -> Any:
    """TF-IDF of counts, every row of length 1."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(sublinear_tf=True).fit(counts[np.flatnonzero(train)]).transform(counts)


def commonest(counts: Any, train: NDArray[np.bool_], rows: int) -> Floats:
    """Dense [n, term] of the terms whose presence varies most over the training rows: how often each comes."""
    most = int(min(_MOST_SELECTED, _MOST_CELLS // max(1, rows)))
    share = np.asarray((counts[np.flatnonzero(train)] > 0).mean(0)).reshape(-1)
    chosen = np.sort(np.argsort(-share * (1 - share), kind="stable")[:most])
    return np.asarray(counts[:, chosen].toarray())


def presence(counts: Floats, train: NDArray[np.bool_]) -> Floats:
    """[n, term] whether a term comes, from the term that is nearest to half of the training texts on."""
    there = (counts > 0).astype(np.float64)
    share = there[train].mean(0)
    return np.asarray(there[:, np.argsort(-share * (1 - share), kind="stable")])
