"""Scores against scipy and scikit-learn; weights mean repeated rows."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from lit_experiments.statistics import mean_absolute_error, mean_squared_error, pearson, r_squared, spearman

TRUE = np.array([3.0, -0.5, 2.0, 7.0, 4.2, 4.2, 1.0, 0.0, 9.0, 2.5])
PREDICTED = np.array([2.5, 0.0, 2.0, 8.0, 4.0, 3.9, 1.5, 0.0, 7.0, 2.0])
WEIGHTS = np.array([0, 1, 3, 1, 2, 0, 1, 5, 1, 1])
REFERENCES = [
    (r_squared, metrics.r2_score),
    (mean_squared_error, metrics.mean_squared_error),
    (mean_absolute_error, metrics.mean_absolute_error),
    (pearson, lambda a, b: stats.pearsonr(a, b)[0]),
    (spearman, lambda a, b: stats.spearmanr(a, b)[0]),
]


@pytest.mark.parametrize(("ours", "theirs"), REFERENCES)
def test_ten_numbers_equal_the_reference(ours, theirs):
    assert ours(TRUE, PREDICTED) == pytest.approx(theirs(TRUE, PREDICTED), rel=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), REFERENCES)
def test_a_weight_of_k_is_the_row_k_times(ours, theirs):
    repeated = theirs(np.repeat(TRUE, WEIGHTS), np.repeat(PREDICTED, WEIGHTS))
    assert ours(TRUE, PREDICTED, WEIGHTS) == pytest.approx(repeated, rel=1e-12)


def test_spearman_gives_ties_their_mid_rank_under_any_weights():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 5, 40), rng.integers(0, 4, 40)
        weights = rng.poisson(1, 40)
        expected = stats.spearmanr(np.repeat(a, weights), np.repeat(b, weights))[0]
        assert spearman(a, b, weights) == pytest.approx(expected, abs=1e-12)


def test_scores_survive_a_mean_far_above_the_spread():
    shifted = metrics.r2_score(TRUE, PREDICTED)
    assert r_squared(TRUE + 1e7, PREDICTED + 1e7) == pytest.approx(shifted, rel=1e-6)


@pytest.mark.parametrize(("ours", "_"), REFERENCES)
def test_no_rows_is_nan(ours, _):
    assert math.isnan(ours([], []))
    assert math.isnan(ours(TRUE, PREDICTED, np.zeros(10)))


@pytest.mark.parametrize("ours", [r_squared, pearson, spearman])
def test_no_spread_is_nan(ours):
    assert math.isnan(ours(np.full(10, 0.1), PREDICTED))


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        pearson([1.0, 2.0], [1.0])
