"""Intervals of a statistic from what it becomes without each of its groups, or on resamples.

Owns the scales on which intervals are symmetric, and the methods; which of them holds what it says is measured by
`lit-experiments selftest`. Shapes: G groups, B resamples; every bound is [*batch].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lit_experiments.statistics.simultaneous import joint_critical

Floats = NDArray[np.float64]
Bounds = tuple[Floats, Floats]
Transform = Callable[[Floats], Floats]

JACKKNIFE, BOOTSTRAP, AGREEMENT = "jackknife t", "percentile bootstrap", "Clopper-Pearson"
SIMULTANEOUS = "simultaneous"
"""Methods, as an Estimate names them."""

_ROUNDING = 1e-13  # of the value: a standard error below this is none
_LINEAR = 1e-6  # a skewness below this changes no digit that is shown


@dataclass(frozen=True)
class Scale:
    """Where a statistic lies, and on which scale its interval is symmetric.

    name: of the scale, "" for the statistic's own. low, high: its range. forward, back: to that scale and from it;
    slope: derivative of forward. skewed: whether the groups' skewness lengthens the interval on its side; the logit
    and Fisher's z do that already.
    """

    name: str
    low: float
    high: float
    forward: Transform
    back: Transform
    slope: Transform
    skewed: bool


def _as_is(x: Floats) -> Floats:
    return x


def _logistic(x: Floats) -> Floats:
    return np.asarray((1 + np.tanh(x / 2)) / 2)


PLAIN = Scale("", -np.inf, np.inf, _as_is, _as_is, np.ones_like, True)
SHARE = Scale("logit", 0, 1, lambda p: np.log(p) - np.log1p(-p), _logistic, lambda p: 1 / (p * (1 - p)), False)
GAP = Scale("", -1, 1, _as_is, _as_is, np.ones_like, True)
SIZE = Scale("", 0, np.inf, _as_is, _as_is, np.ones_like, True)
CORRELATION = Scale("Fisher z", -1, 1, np.arctanh, np.tanh, lambda r: 1 / (1 - r * r), False)
EXPLAINED = Scale(
    "log(1 - R2)", -np.inf, 1, lambda r: -np.log(1 - r), lambda z: 1 - np.exp(-z), lambda r: 1 / (1 - r), True
)
"""Scales of any number, of a share or an AUROC, of a difference of two of these, of what is never below 0, of a
correlation, of R2."""


def intraclass(size: float) -> Scale:
    """The scale of a share of variance between classes of this many values on average: the logarithm of the F ratio.

    Symmetric there whatever the share, and without normal values (Arvesen and Schmitz 1970, Biometrics 26:677). The
    share of a sample may be as low as -1 / (size - 1), where classes differ less than chance lets them.
    """
    return Scale(
        "log F",
        -1 / (size - 1) if size > 1 else -np.inf,
        1,
        lambda share: np.log1p(size * share / (1 - share)),
        lambda z: np.expm1(z) / (np.expm1(z) + size),
        lambda share: size / ((1 - share) * (1 + (size - 1) * share)),
        False,
    )


def method_name(method: str, scale: Scale, together: bool = False) -> str:
    """How an Estimate names the method on this scale."""
    return ", ".join(filter(None, [method, scale.name, SIMULTANEOUS if together else ""]))


def jackknife(
    value: ArrayLike,
    without: ArrayLike,
    groups: ArrayLike,
    smaller: ArrayLike,
    level: float,
    scale: Scale,
    together: bool = False,
) -> Bounds:
    """Student-t bounds with the jackknife's standard error (Tukey 1958; as CV3 of MacKinnon, Nielsen and Webb 2023).

    value: [*batch]; without: [G, *batch] with each group left out; groups: [*batch] how many of the G add anything;
    smaller: [*batch] how many are on the smaller side of what is compared: twice as many at most give degrees of
    freedom. NaN where leaving out one group leaves nothing defined: the statistic rests on that group. On a skewed
    scale the side that Hall's transformation (1992, J. R. Statist. Soc. B 54:221) lengthens gets that length; no side
    becomes shorter than that of t. together: the intervals of all values hold at once (see `simultaneous`), each at
    least with the critical value of all of them.
    """
    center, removed = np.asarray(value, np.float64), np.asarray(without, np.float64)
    counts = np.maximum(np.broadcast_to(np.asarray(groups, np.float64), center.shape), 2)
    degrees = np.maximum(np.minimum(counts, 2 * np.asarray(smaller, np.float64)) - 1, 1)
    influence = center - removed
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (influence**2).sum(0)
        error = np.sqrt((counts - 1) / counts * squares)
        skewness = (influence**3).sum(0) / counts / (squares / counts) ** 1.5
    critical = stdtrit(degrees, (1 + level) / 2)
    if together and critical.size:
        fewest = float(degrees.min())
        critical = np.full(critical.shape, joint_critical(influence.reshape(len(influence), -1), fewest, level))
    below = above = critical
    if scale.skewed:
        below, above = _lengthened(critical, np.nan_to_num(skewness), counts)
    return _on_scale(center, error, below, above, scale)


def percentile(
    value: ArrayLike, draws: ArrayLike, smaller: ArrayLike, level: float, scale: Scale, together: bool = False
) -> Bounds:
    """From resamples [B, *batch]: percentiles (Efron and Tibshirani 1993, chapter 13), or t on a scale that has a name,
    and where the intervals of all values are to hold together.

    Resamples that leave the statistic undefined are set aside; if they are more than the interval's two tails together,
    or the value itself is undefined, the bounds are NaN.
    """
    center, drawn = np.asarray(value, np.float64), np.asarray(draws, np.float64)
    tail = (1 - level) / 2
    undefined = ~np.isfinite(drawn)
    drop = ~np.isfinite(center) | (undefined.mean(0) > 2 * tail)
    safe = np.where(drop, 0.0, np.where(undefined, np.nan, drawn))
    if together or (scale.name and not scale.skewed):
        degrees = np.maximum(2 * np.asarray(smaller, np.float64) - 1, 1)
        critical = stdtrit(degrees, 1 - tail)
        if together and drawn.size:
            moved = np.where(drop | undefined, 0.0, drawn - center).reshape(len(drawn), -1)
            critical = np.asarray(joint_critical(moved, float(np.min(degrees)), level))
        low, high = _on_scale(np.where(drop, 0.0, center), np.nanstd(safe, 0, ddof=1), critical, critical, scale)
    else:
        low, high = np.nanquantile(safe, [tail, 1 - tail], axis=0)
    return np.where(drop, np.nan, low), np.where(drop, np.nan, high)


def agreeing(value: float, groups: int, level: float, scale: Scale) -> tuple[float, float]:
    """The bounds of a mean of bounded numbers that are `value` in every one of `groups` groups.

    A group is like that with a probability of at least tail ** (1 / groups), else all of them would hardly be; the
    others may be anything in the range. At 0 of n or n of n this is the interval of Clopper and Pearson (1934), the
    "rule of three".
    """
    alike = ((1 - level) / 2) ** (1 / groups) if groups else 0.0
    return alike * value + (1 - alike) * scale.low, alike * value + (1 - alike) * scale.high


def bounded(scale: Scale) -> bool:
    """Whether agreement of all groups says something: of means of numbers between two ends, or their differences."""
    return scale is SHARE or scale is GAP


def _lengthened(critical: Floats, skewness: Floats, counts: Floats) -> Bounds:
    """How many standard errors the interval reaches below and above the value."""
    root, third = np.sqrt(counts), skewness / 3
    flat = np.abs(third) < _LINEAR
    safe = np.where(flat, 1.0, third)

    def moved(t: Floats) -> Floats:
        inner = 1 + 3 * safe * (t / root - skewness / (6 * counts))
        return np.where(flat, t, root / safe * (np.cbrt(inner) - 1))

    return np.maximum(critical, moved(critical)), np.maximum(critical, -moved(-critical))


def _on_scale(center: Floats, error: Floats, below: Floats, above: Floats, scale: Scale) -> Bounds:
    """The bounds at so many standard errors, by the delta method; on the own scale at an end of the range."""
    inside = (center > scale.low) & (center < scale.high)
    reachable = np.where(inside, center, 0.5)
    with np.errstate(invalid="ignore", over="ignore"):
        middle, stretched = scale.forward(reachable), error * scale.slope(reachable)
        low = np.where(inside, scale.back(middle - below * stretched), np.maximum(center - below * error, scale.low))
        high = np.where(inside, scale.back(middle + above * stretched), np.minimum(center + above * error, scale.high))
    still = error <= _ROUNDING * np.abs(center)
    low, high = np.where(still, center, low), np.where(still, center, high)
    return np.maximum(low, scale.low), np.minimum(high, scale.high)
