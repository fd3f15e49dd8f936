"""Averages with intervals, as all analyses of the study take them. Does not know: what is averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import Range

Floats = NDArray[np.float64]
Resampler = Callable[[ArrayLike], GroupBootstrap]
"""From groups, [row], to the bootstrap over them: `Task.resampler`."""


def problem_mean(values: ArrayLike, resampler: Resampler) -> Estimate:
    """The mean of one value per problem, over problems; those that are NaN are left out of it and of `n`."""
    rows = np.asarray(values, np.float64)
    rows = rows[np.isfinite(rows)]
    return estimate(known_mean(rows, resampler(np.arange(len(rows)))))


def known_mean(values: ArrayLike, boot: GroupBootstrap, within: Range | None = None) -> NDArray[np.object_]:
    """Estimate [...]: mean over the rows that have a value, of values [row, ...]. within: the values' range, where they
    have one."""
    return boot.from_sums(boot.sums(value_and_count(values)), ratio, within)


def value_and_count(values: ArrayLike) -> Floats:
    """[..., 2]: each value and 1, or 0 and 0 where it is NaN, whose totals make a mean."""
    numbers = np.asarray(values, np.float64)
    known = ~np.isnan(numbers)
    return np.stack([np.where(known, numbers, 0), known.astype(np.float64)], axis=-1)


def ratio(sums: Floats) -> Floats:
    """[..., 2] -> [...]: the first total over the second; NaN where the second is 0."""
    out: Floats = np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] != 0)
    return out


def estimate(single: Any) -> Estimate:
    """The one Estimate of an array without axes."""
    only: Estimate = single.item()
    return only
