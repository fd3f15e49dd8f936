"""Claims that nothing can be said about: too few rows or groups, and labels of noise."""

from __future__ import annotations

import numpy as np

from benchmarks.planted_claims.claim import Planted, Size, Workshop
from benchmarks.planted_claims.texts import filled, joined, sentences, templates, vocabulary
from benchmarks.planted_claims.true import planted


def few_rows(shop: Workshop) -> Planted:
    """Thirty to fifty rows of many dims, and an effect that they cannot show."""
    size = Size(int(shop.rng.integers(30, 51)), int(shop.rng.integers(4, 9)), 128)
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause + 1.5 * shop.rng.normal(size=size.rows), shop.states(size, cause, 0.6))


def few_groups(shop: Workshop) -> Planted:
    """Two hundred rows of twelve templates, a test part of three or four, and a weak effect."""
    size = Size(200, int(shop.rng.integers(4, 9)), 64)
    forms, words = templates(shop.rng, 12), vocabulary(shop.rng, 300)
    content = shop.rng.integers(0, len(forms), size.rows)
    cause = shop.rng.normal(size=size.rows) + shop.rng.normal(size=len(forms))[content]
    texts = [filled(forms[i], shop.rng, words) for i in content]
    return planted(shop, size, cause + 2 * shop.rng.normal(size=size.rows), shop.states(size, cause, 0.5), texts=texts)


def noise(shop: Workshop) -> Planted:
    """Labels that nothing holds; numbers, or two classes."""
    size = shop.size()
    classes = bool(shop.rng.random() < 0.5)
    target = shop.rng.integers(0, 2, size.rows) if classes else shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, np.zeros(size.rows), 0.0), classes=classes)


def many_layers(shop: Workshop) -> Planted:
    """Labels that none of 24 layers holds."""
    size = shop.size(200, 400, layers=24)
    return planted(shop, size, shop.rng.normal(size=size.rows), shop.states(size, np.zeros(size.rows), 0.0))


def heavy_tails(shop: Workshop) -> Planted:
    """Outliers in labels (Student's t, two degrees of freedom) and in states (1.5)."""
    size = shop.size()
    states = shop.rng.standard_t(1.5, size=(size.layers, size.rows, size.hidden)).clip(-1e3, 1e3)
    return planted(shop, size, shop.rng.standard_t(2, size.rows), states.astype(np.float32))


def unequal_classes(shop: Workshop) -> Planted:
    """Labels that nothing holds, of two classes, the second with 5 to 10 % of the rows."""
    size = shop.size(400)
    code = shop.rng.random(size.rows) < shop.rng.uniform(0.05, 0.1)
    return planted(shop, size, code, shop.states(size, np.zeros(size.rows), 0.0), classes=True)


def several_classes(shop: Workshop) -> Planted:
    """Labels that nothing holds, of three to six classes."""
    size = shop.size()
    code = shop.rng.integers(0, int(shop.rng.integers(3, 7)), size.rows)
    return planted(shop, size, code, shop.states(size, np.zeros(size.rows), 0.0), classes=True)


def wide(shop: Workshop) -> Planted:
    """Labels that none of 512 dims of 150 rows holds."""
    size = Size(150, 6, 512)
    return planted(shop, size, shop.rng.normal(size=size.rows), shop.states(size, np.zeros(size.rows), 0.0))


def beside_surface(shop: Workshop) -> Planted:
    """Labels that nothing holds, and states that hold the text's length and the output's entropy."""
    size = shop.size()
    texts, probs = joined(sentences(shop.rng, size.rows)), shop.probs(size.rows)
    known = np.stack([[float(len(text)) for text in texts], -(probs * np.log(probs)).sum(1)], 1)
    return planted(shop, size, shop.rng.normal(size=size.rows), shop.states(size, known, 2.5), texts=texts, probs=probs)


def two_walks(shop: Workshop) -> Planted:
    """Labels and states that drift over the data, each by itself: rows that follow each other are alike."""
    size = shop.size(300)
    target, *drifts = (np.cumsum(shop.rng.normal(size=size.rows)) for _ in range(4))
    return planted(shop, size, target, shop.states(size, np.stack(drifts, 1), 3.0))


def twenty_rows(shop: Workshop) -> Planted:
    """Twenty to thirty rows of a strong effect."""
    size = Size(int(shop.rng.integers(20, 31)), 4, 64)
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause + 0.5 * shop.rng.normal(size=size.rows), shop.states(size, cause, 1.0))


def ten_of_a_class(shop: Workshop) -> Planted:
    """Eight to twelve rows of the second class, and an effect that they cannot show."""
    size = shop.size(200, 300)
    code = np.zeros(size.rows)
    code[shop.rng.choice(size.rows, int(shop.rng.integers(8, 13)), replace=False)] = 1
    return planted(shop, size, code, shop.states(size, code, 0.3), classes=True)
