"""The Kneser-Ney yardstick: a distribution, and equal to the textbook recursion written with dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lit_experiments.embedded.trigram import Trigram

V = 50


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, V + 1) ** 2  # rare ids, as words have: the discounts are counted from them
    return [[0, *map(int, rng.choice(V, size=25, p=frequency / frequency.sum()))] for _ in range(40)]


def slow_probability(documents, a, b, c):
    """Chen & Goodman's interpolated modified Kneser-Ney, word for word."""
    trigrams = Counter(g for d in documents for g in zip([d[0], *d], d, d[1:], strict=False))
    bigrams = Counter((y, z) for _, y, z in trigrams)
    unigrams = Counter(z for _, z in bigrams)

    def interpolate(counts, context, token, lower):
        n = [sum(1 for v in counts.values() if v == k) for k in range(5)]
        y = n[1] / (n[1] + 2 * n[2])
        d = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
        following = {g: v for g, v in counts.items() if g[:-1] == context}
        total = sum(following.values())
        if not total:
            return lower
        count = following.get((*context, token), 0)
        left = sum(d[min(v, 3)] for v in following.values()) / total
        return (count - d[min(count, 3)]) / total + left * lower

    one = interpolate({(z,): v for z, v in unigrams.items()}, (), c, 1 / V)
    two = interpolate(bigrams, (b,), c, one)
    return interpolate(trigrams, (a, b), c, two)


def test_probabilities_sum_to_one_for_seen_and_unseen_contexts(documents):
    model = Trigram(documents, V)
    for context in range(V * V):
        assert model.probabilities(np.full(V, context), np.arange(V)).sum() == pytest.approx(1, abs=1e-12)


def test_equals_the_textbook_recursion(documents):
    model = Trigram(documents, V)
    for a, b, c in [(0, 0, 3), (4, 1, 1), (7, 11, 2), (3, 3, 3), (9, 0, 5)]:
        fast = model.probabilities(np.array([a * V + b]), np.array([c]))[0]
        assert fast == pytest.approx(slow_probability(documents, a, b, c), rel=1e-12)


def test_a_document_is_scored_from_its_second_id(documents):
    model = Trigram(documents, V)
    log_probs = model.log_probs([0, 3, 4])
    expected = [slow_probability(documents, 0, 0, 3), slow_probability(documents, 0, 3, 4)]
    assert np.exp(log_probs) == pytest.approx(expected, rel=1e-12)


def test_too_little_text_is_an_error():
    with pytest.raises(ValueError, match="too little text"):
        Trigram([[0, 1, 2]], V)
