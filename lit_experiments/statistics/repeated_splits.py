"""How much a score owes to the split: its mean over repeated group splits, with an interval that knows they overlap.

A single split's interval varies the test part and holds the training part fixed. Repeating the split varies both,
but the repeats share most of their rows, so that their spread over sqrt(repeats) would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lit_experiments.statistics.estimate import Estimate


def repeated_splits(scores: ArrayLike, train_groups: int, test_groups: int, level: float) -> Estimate:
    """The mean score [] of repeated random splits with the corrected resampled t interval (Nadeau and Bengio 2003).

    variance of the mean = (1 / J + test / train) * s^2, with s^2 the variance of the J scores; t with J - 1 degrees of
    freedom. scores: [split], NaN where a split defines none. train_groups, test_groups: groups in the two parts of a
    split; test_groups is the estimate's n. Without two finite scores there is no interval.
    Raises ValueError unless both parts have groups.
    """
    if train_groups < 1 or test_groups < 1:
        raise ValueError(f"a split has groups in both parts, found {train_groups} and {test_groups}")
    values = np.asarray(scores, np.float64)
    known = values[np.isfinite(values)]
    if len(known) < 2 or len(known) < len(values):
        value = float(known.mean()) if len(known) else math.nan
        return Estimate(value, math.nan, math.nan, test_groups, level)
    spread = math.sqrt((1 / len(known) + test_groups / train_groups) * float(known.var(ddof=1)))
    half = float(stats.t.ppf((1 + level) / 2, len(known) - 1)) * spread
    mean = float(known.mean())
    return Estimate(mean, mean - half, mean + half, test_groups, level)


def random_splits(groups: int, test_fraction: float, repeats: int, seed: int) -> Sequence[NDArray[np.bool_]]:
    """[repeat] which of the groups [group] are the test part: round(test_fraction * groups), at least 1, at random."""
    rng = np.random.default_rng([seed, 5])
    size = min(max(1, round(test_fraction * groups)), groups - 1)
    splits = [np.zeros(groups, bool) for _ in range(repeats)]
    for test in splits:
        test[rng.permutation(groups)[:size]] = True
    return splits
