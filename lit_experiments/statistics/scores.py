"""How well numbers are predicted: R2, MSE, MAE, Pearson, Spearman, each for weighted rows or from sums.

A weight of k means the row counted k times, which is how a bootstrap repeats rows. Undefined scores (no rows, no
spread) are NaN. `error_terms` gives what to add up per row and the `*_from_sums` functions turn totals into scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ERROR_TERMS = ("rows", "absolute error", "squared error", "true", "true squared")


def error_terms(true: ArrayLike, predicted: ArrayLike, center: ArrayLike) -> Floats:
    """[..., 5] per row, what MSE, MAE and R2 need.

    center: any constant near the mean of `true`, so that R2 does not cancel.
    """
    y, p = np.broadcast_arrays(np.asarray(true, np.float64), np.asarray(predicted, np.float64))
    error, about = y - p, y - np.asarray(center, np.float64)
    return np.stack([np.ones_like(y), np.abs(error), error**2, about, about**2], axis=-1)


def mse_from_sums(sums: Floats) -> Floats:
    """Mean squared error from totals of `error_terms` [..., 5]."""
    return _ratio(sums[..., 2], sums[..., 0])


def mae_from_sums(sums: Floats) -> Floats:
    """Mean absolute error from totals of `error_terms` [..., 5]."""
    return _ratio(sums[..., 1], sums[..., 0])


def r2_from_sums(sums: Floats) -> Floats:
    """R2 = 1 - SSE / SST from totals of `error_terms` [..., 5]; NaN when the true values do not vary."""
    spread = sums[..., 4] - _ratio(sums[..., 3] ** 2, sums[..., 0])
    # Totals of equal numbers leave rounding, not spread: about n eps of the sum of squares.
    spread = np.where(spread > 1e-12 * sums[..., 4], spread, 0.0)
    return 1 - _ratio(sums[..., 2], spread)


def r_squared(true: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Coefficient of determination against the weighted mean of `true`; can be negative."""
    return float(r2_from_sums(_totals(true, predicted, weights)))


def mean_squared_error(true: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean of squared errors, in squared units of `true`."""
    return float(mse_from_sums(_totals(true, predicted, weights)))


def mean_absolute_error(true: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean of absolute errors, in units of `true`."""
    return float(mae_from_sums(_totals(true, predicted, weights)))


def pearson(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted product-moment correlation; NaN when either side does not vary."""
    x, y, w = _rows(a, b, weights)
    counted = w > 0
    if not counted.any() or np.ptp(x[counted]) == 0 or np.ptp(y[counted]) == 0:
        return math.nan
    x, y = x - (w @ x) / w.sum(), y - (w @ y) / w.sum()
    return _correlation(float(w @ (x * x)), float(w @ (y * y)), float(w @ (x * y)))


def spearman(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Rank correlation with mid-ranks for ties; ranks are those of the rows repeated `weights` times."""
    x, y, w = _rows(a, b, weights)
    return SpearmanOf.rows(x, y)(w)


@dataclass(frozen=True)
class SpearmanOf:
    """Spearman of fixed rows under changing whole-number weights: sorted once, then O(rows) per call (for a bootstrap).

    order: [row] rows sorted by a. ends_a, ends_b: [row] first and one past the last position of each row's tie, in the
    sorted order of a and of b, rows listed in `order`. order_b: rows of `order` sorted by b.
    """

    order: NDArray[np.int64]
    order_b: NDArray[np.int64]
    ends_a: tuple[NDArray[np.int64], NDArray[np.int64]]
    ends_b: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def rows(cls, a: ArrayLike, b: ArrayLike) -> SpearmanOf:
        """Sort both sides once."""
        x, y, _ = _rows(a, b, None)
        order = np.argsort(x, kind="stable")
        order_b = np.argsort(y[order], kind="stable")
        back = np.empty_like(order_b)
        back[order_b] = np.arange(len(order_b))
        first, last = _ties(y[order][order_b])
        return cls(order, order_b, _ties(x[order]), (first[back], last[back]))

    def __call__(self, weights: Floats) -> float:
        w = weights[self.order]
        total = float(w.sum())
        if total == 0:
            return math.nan
        middle = (total + 1) / 2
        rank_a = _mid_ranks(w, self.ends_a) - middle
        rank_b = _mid_ranks(w[self.order_b], self.ends_b) - middle
        wa, wb = w * rank_a, w * rank_b
        return _correlation(float(wa @ rank_a), float(wb @ rank_b), float(wa @ rank_b))


def _ties(ordered: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    new = (
        np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, np.int64)
    )
    length = np.diff(np.append(new, len(ordered)))
    first = np.repeat(new, length)
    return first, np.repeat(new + length, length)


def _mid_ranks(w: Floats, ends: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Floats:
    below = np.concatenate([[0.0], np.cumsum(w)])
    return (below[ends[0]] + below[ends[1]] + 1) / 2


def _correlation(aa: float, bb: float, ab: float) -> float:
    if not (aa > 0 and bb > 0):
        return math.nan
    return float(np.clip(ab / math.sqrt(aa * bb), -1, 1))


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.asarray(b) != 0)


def _rows(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    if not x.shape == y.shape == w.shape or x.ndim != 1:
        raise ValueError(f"expected three vectors of one length, found shapes {x.shape}, {y.shape} and {w.shape}")
    return x, y, w


def _totals(true: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None) -> Floats:
    y, p, w = _rows(true, predicted, weights)
    center = (w @ y) / w.sum() if w.sum() else 0.0
    return w @ error_terms(y, p, center)
