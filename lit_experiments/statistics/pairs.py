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

    groups: [pair] what intervals are over. boot: over all of these pairs; where pairs are left out, one over the
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
    test: Any = stats.ttest_1samp(diff, 0.0)
    return float(test.statistic), float(test.pvalue)


def _wilcoxon(diff: Floats) -> tuple[float, float]:
    if not (diff != 0).any():
        return math.nan, math.nan
    test: Any = stats.wilcoxon(diff, zero_method="wilcox")
    return float(test.statistic), float(test.pvalue)


@dataclass(frozen=True)
class Adjusted:
    """A mean paired difference with the difference of a covariate controlled for.

    Attributes:
        effect: the difference that pairs with equal covariates would have: the intercept of the regression of the
            differences on the covariate's differences (Judd, Kenny and McClelland 2001, Psychological Methods 6:115).
        slope: of that regression.
        lowest, highest: covariate difference among the pairs; where 0 is not between them, the effect is extrapolated.
    """

    effect: Estimate
    slope: Estimate
    lowest: float
    highest: float

    @property
    def extrapolated(self) -> bool:
        """Whether no pair has a covariate difference on the other side of 0, so that the line goes beyond the data."""
        return not self.lowest <= 0 <= self.highest


def adjusted(
    differences: ArrayLike, covariate: ArrayLike, groups: ArrayLike, boot: GroupBootstrap, seed: int
) -> Adjusted:
    """Adjusts differences [pair] for the covariate's differences [pair]; groups, boot, seed as in `paired`.

    NaN where the covariate does not vary: nothing tells its part from the rest then, unless it is 0 throughout.
    """
    y, x = np.asarray(differences, np.float64), np.asarray(covariate, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.all():
        boot = boot.over(np.asarray(groups)[known], seed)
        y, x = y[known], x[known]
    by_unit = boot.sums(np.stack([np.ones_like(x), x, y, x * x, x * y], -1))
    effect, slope = (boot.from_sums(by_unit, partial(_line, at)).item() for at in range(2))
    ends = (float(x.min()), float(x.max())) if len(x) else (math.nan, math.nan)
    return Adjusted(effect, slope, *ends)


def _line(at: int, sums: Floats) -> Floats:
    """Intercept (0) or slope (1) of least squares from totals [..., 5] of 1, x, y, xx, xy."""
    n, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    spread = xx - x * x / n
    slope = np.where(spread > 1e-12 * xx, (xy - x * y / n) / np.where(spread > 0, spread, 1.0), np.nan)
    flat = np.where(xx == 0, y / n, np.nan)  # equal covariates in every pair: nothing to adjust for
    return np.where(np.isnan(slope), flat, (y - slope * x) / n) if at == 0 else slope
