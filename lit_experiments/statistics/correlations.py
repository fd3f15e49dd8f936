"""How two measurements go together: Pearson and Spearman with intervals over groups, p-values where rows allow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lit_experiments.statistics.bootstrap import GroupBootstrap
from lit_experiments.statistics.estimate import Estimate
from lit_experiments.statistics.intervals import CORRELATION
from lit_experiments.statistics.scores import RankCorrelation

Floats = NDArray[np.float64]
_LEAST = 3  # rows; two always correlate perfectly


@dataclass(frozen=True)
class Correlation:
    """Pearson and Spearman of `rows` rows.

    Intervals: over groups, on Fisher's scale.
    p_pearson, p_spearman: two-sided, of scipy; NaN unless every row is a group of its
    own, since they take rows to be independent.
    """

    rows: int
    pearson: Estimate
    spearman: Estimate
    p_pearson: float
    p_spearman: float


def correlation(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, *, resamples: int, level: float, seed: int
) -> Correlation:
    """x, y, groups: [row]; rows with NaN are left out. NaN for fewer than three rows or without spread."""
    a, b, units = np.asarray(x, np.float64), np.asarray(y, np.float64), np.asarray(groups)
    known = np.isfinite(a) & np.isfinite(b)
    a, b, units = a[known], b[known], units[known]
    boot = GroupBootstrap(units, resamples=resamples, level=level, seed=seed)
    if len(a) < _LEAST or np.ptp(a) == 0 or np.ptp(b) == 0:
        none = Estimate.undefined(boot.n, level)
        return Correlation(len(a), none, none, math.nan, math.nan)
    linear = boot.from_sums(boot.sums(correlation_terms(a, b)), pearson_from_sums, CORRELATION).item()
    ranked = boot.from_counts(RankCorrelation(a, b, boot.unit_of_row), CORRELATION)
    p = (math.nan, math.nan)
    if boot.n == len(a):
        p = (float(stats.pearsonr(a, b).pvalue), float(stats.spearmanr(a, b).pvalue))
    return Correlation(len(a), linear, ranked, *p)


def correlation_terms(x: Floats, y: Floats) -> Floats:
    """[row, 6] what to add up for Pearson; x, y: [row]."""
    a, b = x - x.mean(), y - y.mean()  # so that the sums do not cancel
    return np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], -1)


def pearson_from_sums(sums: Floats) -> Floats:
    """Pearson from totals of `correlation_terms` [..., 6]; NaN without spread."""
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    spread_a, spread_b = aa - a * a / n, bb - b * b / n
    # Totals of equal numbers leave rounding, not spread.
    fine = (spread_a > 1e-12 * aa) & (spread_b > 1e-12 * bb)
    scale = np.sqrt(np.where(fine, spread_a * spread_b, np.nan))
    return np.clip((ab - a * b / n) / scale, -1, 1)
