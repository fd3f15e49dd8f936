"""Scores of repeated splits: the corrected interval, by hand and by how often it holds the truth."""

import numpy as np
import pytest
from scipy import stats

from lit_experiments.statistics.repeated_splits import random_splits, repeated_splits


def test_the_interval_is_the_corrected_resampled_t() -> None:
    scores = np.array([0.5, 0.6, 0.55, 0.4])
    estimate = repeated_splits(scores, 30, 10, 0.95)
    error = np.sqrt(scores.var(ddof=1) * (1 / 4 + 10 / 30))
    low, high = stats.t.interval(0.95, 3, scores.mean(), error)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((scores.mean(), low, high))
    assert estimate.n == 10


def test_too_few_groups_or_undefined_splits_give_no_interval() -> None:
    assert repeated_splits([0.5, 0.6, 0.7], 9, 3, 0.95).no_interval == "3 groups"
    assert not repeated_splits([0.5, np.nan, 0.7], 30, 10, 0.95).has_interval
    assert not repeated_splits([0.5], 30, 10, 0.95).has_interval
    with pytest.raises(ValueError, match="both parts"):
        repeated_splits([0.5, 0.6], 0, 10, 0.95)


def test_splits_are_of_whole_groups_and_of_the_size_asked_for() -> None:
    splits = random_splits(20, 0.25, 8, 0)
    assert [int(test.sum()) for test in splits] == [5] * 8
    assert len({tuple(test.tolist()) for test in splits}) == 8
    assert int(random_splits(2, 0.9, 1, 0)[0].sum()) == 1


def test_the_interval_holds_the_truth_where_the_naive_one_does_not() -> None:
    """The score of a split is the mean of its test groups' errors; its expectation is 0."""
    rng = np.random.default_rng(3)
    covered, naive = [], []
    for repeat in range(300):
        errors = rng.normal(size=60)
        scores = np.array([errors[test].mean() for test in random_splits(60, 0.25, 15, repeat)])
        estimate = repeated_splits(scores, 45, 15, 0.95)
        covered.append(estimate.low < 0 < estimate.high)
        low, high = stats.t.interval(0.95, 14, scores.mean(), scores.std(ddof=1) / np.sqrt(15))
        naive.append(low < 0 < high)
    assert np.mean(covered) > 0.93
    assert np.mean(naive) < 0.85
