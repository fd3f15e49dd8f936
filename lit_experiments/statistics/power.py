"""The smallest effect that an interval or a permutation test would have shown, had there been one."""

from __future__ import annotations

import math

from scipy import stats

from lit_experiments.statistics.estimate import Estimate


def detectable(estimate: Estimate, power: float = 0.8, tests: int = 1) -> float:
    """The smallest distance from a reference that an interval of this width would have left with that power.

    (t_(1+level)/2 + t_power) * standard error, t with n - 1 degrees of freedom (Cohen 1988, chapter 2): the standard
    error is the one behind the interval, half its width over t_(1+level)/2. In the units of the estimate; NaN where
    there is no interval. tests: how many this is one of; each is then held to level (1 - level) / tests (Bonferroni).
    Raises ValueError for a power that is not between 0.5 and 1, and for fewer tests than one.
    """
    if not 0.5 <= power < 1:
        raise ValueError(f"power lies in [0.5, 1), found {power}")
    if tests < 1:
        raise ValueError(f"at least one test, found {tests}")
    if not estimate.has_interval:
        return math.nan
    degrees = estimate.n - 1
    critical = float(stats.t.ppf((1 + estimate.level) / 2, degrees))
    standard_error = (estimate.high - estimate.low) / 2 / critical
    corrected = float(stats.t.ppf(1 - (1 - estimate.level) / 2 / tests, degrees))
    return standard_error * (corrected + float(stats.t.ppf(power, degrees)))


def detectable_score(bound: float, low: float, high: float, level: float, power: float = 0.8) -> float:
    """The score that would have exceeded the bound of a permutation test with that power.

    low, high: between which the scores of permuted targets lie with probability `level`; their spread stands for that
    of the score. NaN where one of these is. Raises ValueError for a power that is not between 0.5 and 1.
    """
    if not 0.5 <= power < 1:
        raise ValueError(f"power lies in [0.5, 1), found {power}")
    spread = (high - low) / 2 / float(stats.norm.ppf((1 + level) / 2))
    return bound + spread * float(stats.norm.ppf(power))
