"""The noise ceiling of repeated measurements, and how much of it a prediction reaches.

A predictor that sees only the row cannot explain what repetitions of the row differ in: the share of variance between
rows is the most that its R2 can be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics.bootstrap import GroupBootstrap
from lit_experiments.statistics.estimate import Estimate
from lit_experiments.statistics.intervals import intraclass
from lit_experiments.statistics.scores import error_terms, r2_from_sums
from lit_experiments.statistics.variance import class_terms, share_from_sums, typical_size

Floats = NDArray[np.float64]


def ceiling_estimates(
    true: Floats, predicted: Floats, center: float, boot: GroupBootstrap
) -> tuple[Estimate, Estimate]:
    """The share of variance between rows of true [row, repetition], and the R2 of predicted [row] over that share.

    Absent repetitions are NaN. center: any number near the mean of `true`. The share is the moment estimate, below 0
    where chance sets rows apart less than their repetitions; R2 over it is then undefined.
    """
    about = true - center
    size, total, squares = (~np.isnan(about)).sum(1), np.nansum(about, 1), np.nansum(about**2, 1)
    errors = repeated_error_terms(true, predicted, center)
    sums = boot.sums(np.concatenate([errors, class_terms(size, total, squares)], axis=-1))
    split = errors.shape[-1]
    by_class = sums[..., split:]

    def of_ceiling(s: Floats) -> Floats:
        share = share_from_sums(s[..., split:])
        return r2_from_sums(s[..., :split]) / np.where(share > 0, share, np.nan)

    scale = intraclass(float(typical_size(by_class.sum(0))))
    return boot.from_sums(by_class, share_from_sums, scale).item(), boot.from_sums(sums, of_ceiling).item()


def repeated_error_terms(y: Floats, p: Floats, center: float) -> Floats:
    """[row, 5] error terms of y [row, repetition] against p [row], absent repetitions adding nothing."""
    terms = error_terms(y, p[:, None], center)
    return np.where(np.isnan(y)[..., None], 0.0, terms).sum(1)
