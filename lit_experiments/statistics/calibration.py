"""Whether confidence is deserved: expected calibration error, Brier score, AUROC, and the reliability table.

Confidences are probabilities in [0, 1], outcomes 0 or 1. A weight of k means the row counted k times, which is how a
bootstrap repeats rows. Undefined scores (no rows, one outcome only) are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Rows by bins of confidence: weight, mean confidence and share of right outcomes of each bin (NaN if empty)."""

    edges: Floats
    weight: Floats
    confidence: Floats
    accuracy: Floats


def reliability(confidence: ArrayLike, outcome: ArrayLike, bins: int, weights: ArrayLike | None = None) -> Reliability:
    """`bins` intervals of equal width, closed on the right (as scikit-learn has them); the first holds 0 too."""
    c, y, w = _rows(confidence, outcome, weights)
    edges = np.linspace(0, 1, bins + 1)
    index = np.searchsorted(edges[1:-1], c)
    weight, stated, right = (np.bincount(index, values, bins).astype(np.float64) for values in (w, w * c, w * y))
    with np.errstate(invalid="ignore"):
        return Reliability(edges, weight, stated / weight, right / weight)


def expected_calibration_error(
    confidence: ArrayLike, outcome: ArrayLike, bins: int, weights: ArrayLike | None = None
) -> float:
    """Weighted mean over bins of |accuracy - mean confidence| (Naeini, Cooper and Hauskrecht 2015)."""
    table = reliability(confidence, outcome, bins, weights)
    used = table.weight > 0
    if not used.any():
        return math.nan
    gaps = np.abs(table.accuracy[used] - table.confidence[used])
    return float(gaps @ table.weight[used] / table.weight.sum())


def brier_score(confidence: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean squared difference of confidence and outcome (Brier 1950)."""
    c, y, w = _rows(confidence, outcome, weights)
    return float(w @ (c - y) ** 2 / w.sum()) if w.sum() else math.nan


def auroc(score: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a right row scores above a wrong one, ties counting half (Mann-Whitney)."""
    s, y, w = _rows(score, outcome, weights)
    right, wrong = float(w @ y), float(w @ (1 - y))
    if not (right and wrong):
        return math.nan
    _, level = np.unique(s, return_inverse=True)
    rights, wrongs = np.bincount(level, w * y), np.bincount(level, w * (1 - y))
    below = np.cumsum(wrongs) - wrongs
    return float(rights @ (below + wrongs / 2) / (right * wrong))


def _rows(confidence: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    c, y = np.asarray(confidence, np.float64).ravel(), np.asarray(outcome, np.float64).ravel()
    w = np.ones_like(c) if weights is None else np.asarray(weights, np.float64).ravel()
    if not c.shape == y.shape == w.shape:
        raise ValueError(f"{len(c)} confidences, {len(y)} outcomes and {len(w)} weights; all three must be as many.")
    return c, y, w
