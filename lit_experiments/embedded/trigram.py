"""Interpolated modified Kneser-Ney trigram over token ids: the yardstick for the embedded model's cross-entropy.

Owns: counts, discounts, probabilities. Does not know: text, tokenizers, or the model it is compared with.
Source: S. F. Chen and J. Goodman, An Empirical Study of Smoothing Techniques for Language Modeling (1998): discounts
D1, D2, D3+ per order, lower orders from continuation counts; here with a uniform distribution below the unigrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class _Order:
    """One order of the model: n-grams with counts, and per context the total and the mass left for the order below."""

    keys: np.ndarray  # int64 [gram], sorted: context * vocabulary + token
    counts: np.ndarray  # int64 [gram]
    contexts: np.ndarray  # int64 [context], sorted
    totals: np.ndarray  # int64 [context]
    leftover: np.ndarray  # float64 [context]
    discounts: np.ndarray  # float64 [4], by min(count, 3)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D(0) = 0, D1, D2, D3+ of Chen and Goodman (eq. 26) from the counts of counts."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        raise ValueError(
            f"too little text for Kneser-Ney discounts: {n1}, {n2}, {n3} n-grams occur once, twice, thrice"
        )
    y = n1 / (n1 + 2 * n2)
    discounts = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.clip(discounts, 0.0, [0.0, 1.0, 2.0, 3.0])


def _order(keys: np.ndarray, counts: np.ndarray, vocabulary: int) -> _Order:
    discounts = _discounts(counts)
    contexts, where = np.unique(keys // vocabulary, return_inverse=True)
    totals = np.bincount(where, weights=counts).astype(np.int64)
    leftover = np.bincount(where, weights=discounts[np.minimum(counts, 3)]) / totals
    return _Order(keys, counts, contexts, totals, leftover, discounts)


def _find(keys: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of `queries` in sorted `keys`, and which of them are there."""
    at = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return at, keys[at] == queries


class Trigram:
    """p(token | two tokens before it). Documents start with one id that is given, not predicted (BOS)."""

    def __init__(self, documents: Sequence[Sequence[int]], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        contexts, tokens = self._contexts(documents)
        trigrams, counts = np.unique(contexts * vocabulary + tokens, return_counts=True)
        bigrams, before = np.unique(trigrams % vocabulary**2, return_counts=True)
        unigrams, before_one = np.unique(bigrams % vocabulary, return_counts=True)
        self.orders = [
            _order(unigrams, before_one, vocabulary),
            _order(bigrams, before, vocabulary),
            _order(trigrams, counts, vocabulary),
        ]

    def _contexts(self, documents: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (a * vocabulary + b) and tokens of all documents, int64 [token]; the first id stands twice."""
        padded = [np.array([document[0], *document], dtype=np.int64) for document in documents]
        contexts = np.concatenate([ids[:-2] * self.vocabulary + ids[1:-1] for ids in padded])
        return contexts, np.concatenate([ids[2:] for ids in padded])

    def probabilities(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """p(tokens | contexts), float64 [token]; contexts are a * vocabulary + b."""
        probability = np.full(len(tokens), 1.0 / self.vocabulary)
        short = [np.zeros_like(contexts), contexts % self.vocabulary, contexts]
        for order, context in zip(self.orders, short, strict=True):
            at, known = _find(order.contexts, context)
            gram, seen = _find(order.keys, context * self.vocabulary + tokens)
            count = np.where(seen, order.counts[gram], 0)
            discounted = (count - order.discounts[np.minimum(count, 3)]) / order.totals[at]
            probability = np.where(known, discounted + order.leftover[at] * probability, probability)
        return probability

    def log_probs(self, document: Sequence[int]) -> np.ndarray:
        """Log-probability in nats of each id after the first, float64 [len - 1]."""
        return np.log(self.probabilities(*self._contexts([document])))
