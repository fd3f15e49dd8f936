"""Averages with intervals, as all analyses of the study take them. Does not know: what is averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.intervals import Scale

Floats = NDArray[np.float64]
Resampler = Callable[[ArrayLike], GroupBootstrap]
"""From groups, [row], to the bootstrap over them: `Task.resampler`."""


def problem_mean(values: ArrayLike, resampler: Resampler, within: Scale | None = None) -> Estimate:
    """The mean of one value per problem, over problems; those that are NaN are left out of it and of `n`.

    within: where values lie, and so the bounds.
    """
    rows = np.asarray(values, np.float64)
    rows = rows[np.isfinite(rows)]
    return estimate(resampler(np.arange(len(rows))).mean(rows, within))


def estimate(single: Any) -> Estimate:
    """The one Estimate of an array without axes."""
    only: Estimate = single.item()
    return only
