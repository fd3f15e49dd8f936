"""Further functions of the pass's own letter probabilities that states hold."""

from __future__ import annotations

import numpy as np

from benchmarks.planted_claims.claim import MIDPOINTS, Planted, Workshop
from benchmarks.planted_claims.surface import written


def rank(shop: Workshop) -> Planted:
    """How many letters are more probable than one of them."""
    size = shop.size()
    probs = shop.probs(size.rows)
    return written(shop, size, (probs > probs[:, 3:4]).sum(1), probs=probs)


def product(shop: Workshop) -> Planted:
    """The product of two letters' logits, around their means."""
    size = shop.size()
    probs = shop.probs(size.rows)
    logs = np.log(probs)
    logs = logs - logs.mean(0)
    return written(shop, size, logs[:, 1] * logs[:, 4], noise=0.1, probs=probs)


def likelier_letter(shop: Workshop) -> Planted:
    """Which of two letters is the likelier one."""
    size = shop.size()
    probs = shop.probs(size.rows)
    return written(shop, size, probs[:, 2] > probs[:, 5], classes=True, probs=probs)


def which_letter(shop: Workshop) -> Planted:
    """The most probable letter, as eight classes."""
    size = shop.size(400)
    probs = shop.probs(size.rows)
    return written(shop, size, probs.argmax(1), classes=True, probs=probs)


def second_letter(shop: Workshop) -> Planted:
    """Whether the second most probable letter is one of the upper four."""
    size = shop.size()
    probs = shop.probs(size.rows)
    return written(shop, size, np.argsort(-probs, 1)[:, 1] >= 4, classes=True, probs=probs)


def sure(shop: Workshop) -> Planted:
    """Whether the highest probability is above a threshold."""
    size = shop.size()
    probs = shop.probs(size.rows)
    top = probs.max(1)
    return written(shop, size, top > np.quantile(top, shop.rng.uniform(0.3, 0.7)), classes=True, probs=probs)


def spread(shop: Workshop) -> Planted:
    """The standard deviation of the confidence that the letters stand for."""
    size = shop.size()
    probs = shop.probs(size.rows)
    mean = probs @ MIDPOINTS
    return written(shop, size, np.sqrt(probs @ MIDPOINTS**2 - mean**2), noise=0.1, probs=probs)


def far_from_middle(shop: Workshop) -> Planted:
    """How far the expected confidence is from its median: its absolute value or its square."""
    size = shop.size()
    probs = shop.probs(size.rows)
    mean = probs @ MIDPOINTS
    gap = (mean - np.median(mean)) / mean.std()
    return written(shop, size, np.abs(gap) if shop.seed % 2 else gap**2, noise=0.1, probs=probs)


def wave(shop: Workshop) -> Planted:
    """A sine of the entropy."""
    size = shop.size()
    probs = shop.probs(size.rows)
    entropy = -(probs * np.log(probs)).sum(1)
    turn = (entropy - entropy.mean()) / entropy.std()
    return written(shop, size, np.sin(2 * turn), noise=0.1, probs=probs)


def nearest_percent(shop: Workshop) -> Planted:
    """The expected confidence, rounded to the nearest of five numbers."""
    size = shop.size()
    probs = shop.probs(size.rows)
    mean = probs @ MIDPOINTS
    return written(shop, size, np.digitize(mean, np.quantile(mean, [0.2, 0.4, 0.6, 0.8])), probs=probs)
