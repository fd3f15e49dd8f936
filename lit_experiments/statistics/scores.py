"""How well numbers are predicted: R2, MSE, MAE, Pearson, Spearman, each for weighted rows or from sums.

A weight of k means the row counted k times, which is how a bootstrap repeats rows. Undefined scores (no rows, no
spread) are NaN. `error_terms` gives what to add up per row and the `*_from_sums` functions turn totals into scores.
"""

from __future__ import annotations

import math

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
    return RankCorrelation(x, y, None)(w)


class RankCorrelation:
    """Spearman of fixed rows whose counts change by unit: sorted once, then O(rows) per call, as a bootstrap needs it.

    a, b: [row]. unit: [row] which entry of the counts is the row's; None for every row its own.
    """

    def __init__(self, a: ArrayLike, b: ArrayLike, unit: ArrayLike | None) -> None:
        x, y, _ = _rows(a, b, None)
        units = np.arange(len(x)) if unit is None else np.asarray(unit)
        order_a, order_b = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
        place_in_b = np.empty(len(x), np.int32)
        place_in_b[order_b] = np.arange(len(x), dtype=np.int32)
        self._unit_a, self._unit_b = units[order_a].astype(np.int32), units[order_b].astype(np.int32)
        self._levels_a, self._levels_b = _levels(x[order_a]), _levels(y[order_b])
        self._to_b = place_in_b[order_a]

    def __call__(self, counts: Floats) -> float:
        """The correlation with every row counted counts[its unit] times; ties get their mid-rank."""
        wa, wb = counts[self._unit_a], counts[self._unit_b]
        middle = (float(wa.sum()) + 1) / 2
        ra, rb = _mid_ranks(wa, self._levels_a) - middle, _mid_ranks(wb, self._levels_b) - middle
        wra = wa * ra
        return _correlation(float(wra @ ra), float((wb * rb) @ rb), float(wra @ rb[self._to_b]))


Levels = tuple[NDArray[np.int64], NDArray[np.int64]] | None


def _levels(ordered: Floats) -> Levels:
    """Last position and length of every run of equal values; None if there are no ties."""
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.zeros(0, np.int64)
    return None if len(last) == len(ordered) else (last, np.diff(last, prepend=-1))


def _mid_ranks(w: Floats, levels: Levels) -> Floats:
    """Rank of each row among the repeated rows, 1 being the lowest, in the middle of its tie."""
    upto = np.cumsum(w)
    if levels is None:
        return upto - (w - 1) / 2
    last, length = levels
    upto = upto[last]
    return np.repeat(upto - (np.diff(upto, prepend=0.0) - 1) / 2, length)


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
