"""Two measurements of the same units: mean difference, its size, and whether chance could have made it.

Paired t-test and Wilcoxon signed-rank test are scipy's; differences are first minus second. Undefined tests (fewer than
two pairs, no spread) are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lit_experiments.statistics.bootstrap import GroupBootstrap
from lit_experiments.statistics.estimate import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Units measured twice, a and b.

    Attributes:
        n: pairs in which both are known.
        mean_a, mean_b: over these pairs.
        difference: mean of a - b.
        relative: the same as a part of the mean of a.
        d: Cohen's d for pairs: mean difference / standard deviation of the differences (ddof 1).
        t, p: paired t-test, two-sided.
        w, p_w: Wilcoxon signed-rank test, two-sided; pairs without difference are left out of it.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: Estimate
    relative: Estimate
    d: Estimate
    t: float
    p: float
    w: float
    p_w: float


def paired(a: ArrayLike, b: ArrayLike, groups: ArrayLike, boot: GroupBootstrap, seed: int) -> Paired:
    """Compares a and b [pair]; a pair with NaN on either side is left out.

    groups: [pair] what the bootstrap resamples. boot: over all of these pairs; where pairs are left out, one over the
    others takes its place, with as many resamples and this seed.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.all():
        boot = boot.over(np.asarray(groups)[known], seed)
        x, y = x[known], y[known]
    difference, relative, d = _intervals(x, y, boot)
    means = (float(x.mean()), float(y.mean())) if len(x) else (math.nan, math.nan)
    return Paired(len(x), *means, difference, relative, d, *_t_test(x - y), *_wilcoxon(x - y))


def _intervals(x: Floats, y: Floats, boot: GroupBootstrap) -> tuple[Estimate, Estimate, Estimate]:
    diff = x - y
    center = float(diff.mean()) if len(diff) else 0.0
    about = diff - center  # so that the variance does not cancel
    # A spread below the rounding of the numbers themselves is none.
    floor = (np.abs(diff).max(initial=0.0) * 1e-12) ** 2
    terms = np.stack([np.ones_like(x), about, about**2, x], -1)

    def statistic(at: int, sums: Floats) -> Floats:
        n, total, squares, first = np.moveaxis(sums, -1, 0)
        mean = center + total / n
        variance = (squares - total**2 / n) / (n - 1)
        size = np.where((n > 1) & (variance > floor), mean / np.sqrt(np.maximum(variance, 0)), np.nan)
        return np.asarray((mean, mean * n / first, size)[at])

    by_unit = boot.sums(terms)
    value, relative, d = (boot.from_sums(by_unit, partial(statistic, at)).item() for at in range(3))
    return value, relative, d


def _t_test(diff: Floats) -> tuple[float, float]:
    if len(diff) < 2 or np.ptp(diff) == 0:
        return math.nan, math.nan
    found: Any = stats.ttest_1samp(diff, 0.0)
    return float(found.statistic), float(found.pvalue)


def _wilcoxon(diff: Floats) -> tuple[float, float]:
    if not (diff != 0).any():
        return math.nan, math.nan
    found: Any = stats.wilcoxon(diff, zero_method="wilcox")
    return float(found.statistic), float(found.pvalue)
