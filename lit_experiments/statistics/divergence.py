"""Entropies of discrete distributions and how far two of them are apart, in nats, along the last dim.

A distribution has non-negative entries that sum to 1; counts are what such a distribution was estimated from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def normalised(weights: ArrayLike) -> Floats:
    """Weights over their sum; NaN where they sum to 0."""
    w = np.asarray(weights, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(w / w.sum(-1, keepdims=True))


def entropy(p: ArrayLike) -> Floats:
    """-sum of p log p; entries of 0 add nothing."""
    return cross_entropy(p, p)


def cross_entropy(p: ArrayLike, forecast: ArrayLike) -> Floats:
    """-sum of p log forecast: the mean log-loss of a forecast when p is what happens. Infinite where the forecast
    excludes something that happens.
    """
    a, b = np.broadcast_arrays(np.asarray(p, np.float64), np.asarray(forecast, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 log 0 is 0; NaN stays NaN.
        return np.asarray(-np.where(a == 0, 0.0, a * np.log(b)).sum(-1))


def miller_madow(counts: ArrayLike) -> Floats:
    """Entropy estimated from counts: that of their shares, plus (categories seen - 1) / (2 n).

    The plug-in estimate is too low by about that much (Miller 1955, Note on the bias of information estimates).
    """
    c = np.asarray(counts, np.float64)
    n = c.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(entropy(normalised(c)) + ((c > 0).sum(-1) - 1) / (2 * n))


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> Floats:
    """Jensen-Shannon divergence (Lin 1991): 0 for equal distributions, log 2 for disjoint ones."""
    a, b = np.asarray(p, np.float64), np.asarray(q, np.float64)
    divergence = entropy((a + b) / 2) - (entropy(a) + entropy(b)) / 2
    return np.asarray(np.where(divergence < 0, 0.0, divergence))  # rounding, for equal distributions
