"""Claims that the pass's own output explains: states hold the target, a function of its letter probabilities."""

from __future__ import annotations

import numpy as np

from benchmarks.planted_claims.claim import MIDPOINTS, Planted, Workshop
from benchmarks.planted_claims.true import planted

_STRENGTH = 2.5


def linear(shop: Workshop) -> Planted:
    """The expected confidence: probability times midpoint, summed over the letters."""
    size = shop.size()
    probs = shop.probs(size.rows)
    target = probs @ MIDPOINTS
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), probs=probs)


def curved(shop: Workshop) -> Planted:
    """The entropy, the top probability, or the gap of the two best letters' logits."""
    size = shop.size()
    probs = shop.probs(size.rows)
    ordered = np.sort(probs, 1)
    target = [
        -(probs * np.log(probs)).sum(1),
        ordered[:, -1],
        np.log(ordered[:, -1]) - np.log(ordered[:, -2]),
    ][int(shop.rng.integers(3))]
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), probs=probs)


def most_probable(shop: Workshop) -> Planted:
    """Whether the most probable letter is one of the upper four, as classes."""
    size = shop.size()
    probs = shop.probs(size.rows)
    code = (probs.argmax(1) >= probs.shape[1] // 2).astype(np.float64)
    return planted(shop, size, code, shop.states(size, code, _STRENGTH), probs=probs, classes=True)


def noisy(shop: Workshop) -> Planted:
    """A tenth of noise on the logarithm of two letters' odds."""
    size = shop.size()
    probs = shop.probs(size.rows)
    odds = np.log(probs[:, 1] + probs[:, 2]) - np.log(probs[:, 5] + probs[:, 6])
    target = odds + 0.3 * odds.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, odds, _STRENGTH), probs=probs)
