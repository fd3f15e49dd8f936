"""Calibration error without the bias of small bins, as an estimate with an interval over groups.

The plug-in error of a perfectly calibrated model is not 0: in every bin, chance sets the share of right answers and the
mean confidence apart. The squared gap of a bin is estimated without bias from products of different groups only (a
U-statistic; for independent rows the debiased estimator of Kumar, Liang and Ma 2019, "Verified Uncertainty
Calibration", section 5), so that an interval that holds 0 is what a calibrated model has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.statistics.bootstrap import GroupBootstrap
from lit_experiments.statistics.estimate import Estimate

Floats = NDArray[np.float64]
PARTS = 4


def calibration_error(confidence: ArrayLike, outcome: ArrayLike, bins: int, boot: GroupBootstrap) -> Estimate:
    """Root mean square over rows of their bin's gap between confidence and share of right outcomes.

    confidence, outcome: [row], in [0, 1]; bins: of equal width, closed on the right. 0 where the estimate of the mean
    square is negative; the interval then begins at 0, too.
    """
    gaps, rows = bin_sums(confidence, outcome, bins)
    return from_bins(boot.sums(gaps), boot.sums(rows), boot)


def bin_sums(confidence: ArrayLike, outcome: ArrayLike, bins: int) -> tuple[Floats, Floats]:
    """([row, bin] outcome less confidence in the row's bin, [row, bin] 1 there)."""
    stated, right = np.asarray(confidence, np.float64), np.asarray(outcome, np.float64)
    index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], stated)
    member = (index[:, None] == np.arange(bins)).astype(np.float64)
    return member * (right - stated)[:, None], member


def from_bins(gaps: Floats, rows: Floats, boot: GroupBootstrap) -> Estimate:
    """The same from sums by unit and bin, [unit, bin]: of outcome less confidence, and of rows."""
    terms = np.concatenate([gaps, gaps**2, rows, rows**2], axis=-1)
    return from_square(boot.from_sums(terms, mean_square_gap).item())


def from_square(square: Estimate) -> Estimate:
    """The error, of its mean square."""
    above = square.high - square.value  # NaN without an interval
    if square.high < 0:  # chance: the groups agree more than calibration lets them; the interval is moved up to 0
        square = replace(square, low=square.low - square.high, high=square.high - square.low)
    elif above > 0:  # the standard error grows with the error itself: above, the interval is symmetric for the root
        square = replace(square, high=square.high + above**2 / (4 * max(square.value, above / 4)))
    return square.mapped(root)


def mean_square_gap(sums: Floats) -> Floats:
    """[...] of totals [..., 4 * bins] over units: gaps, their squares, rows, their squares. May be negative.

    A bin whose rows are all of one unit has no product of different units and is left out. NaN where all are.
    """
    gap, gap_square, rows, rows_square = np.split(np.asarray(sums, np.float64), PARTS, axis=-1)
    pairs = rows**2 - rows_square
    known = pairs > 0.5  # whole numbers but for rounding
    square = np.divide(gap**2 - gap_square, pairs, out=np.zeros_like(pairs), where=known)
    weight = np.where(known, rows, 0.0)
    total = weight.sum(-1)
    return np.divide((weight * square).sum(-1), total, out=np.full(np.shape(total), np.nan), where=total > 0)


def root(square: float) -> float:
    """Of a mean square in which chance may leave less than 0."""
    return float(np.sqrt(max(square, 0.0))) if np.isfinite(square) else float("nan")
