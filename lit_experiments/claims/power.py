"""The smallest effect that a test part of a size would have shown with 80 % power. Knows sizes; knows no scores.

From the null distribution and not from the interval that came out: a ridge that found nothing predicts the mean, and
the interval of its R2 is then narrow whatever the number of rows.
"""

from __future__ import annotations

import math

from scipy import stats

from lit_experiments.statistics import LEVEL

POWER = 0.8


def detectable_r2(groups: int) -> float:
    """The squared correlation that this many independent rows tell from 0, by Fisher's z (Cohen 1988, chapter 3)."""
    if groups <= 3:
        return math.nan
    return math.tanh(_distance() / math.sqrt(groups - 3)) ** 2


def detectable_auroc(positive: int, negative: int) -> float:
    """The distance from 0.5, by the null variance of the Mann-Whitney statistic; at most 0.5."""
    if min(positive, negative) < 1:
        return math.nan
    variance = (positive + negative + 1) / (12 * positive * negative)
    return min(0.5, _distance() * math.sqrt(variance))


def detectable_accuracy(groups: int, chance: float) -> float:
    """The distance from chance, by the binomial variance; at most what is left up to 1."""
    if groups < 1 or not 0 < chance < 1:
        return math.nan
    return min(1 - chance, _distance() * math.sqrt(chance * (1 - chance) / groups))


def _distance() -> float:
    """Standard errors between the null and an effect whose interval excludes the null with the power."""
    return float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER))
