"""Correlations against scipy; intervals over groups that do not take repeated rows for new ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lit_experiments.statistics import correlation
from lit_experiments.statistics.correlations import correlation_terms, pearson_from_sums


def related(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, 0.6 * x + rng.normal(size=n)


def of(x, y, groups=None, resamples=500):
    units = np.arange(len(x)) if groups is None else groups
    return correlation(x, y, units, resamples=resamples, level=0.95, seed=0)


@pytest.mark.parametrize("n", [3, 10, 200])
def test_values_and_p_equal_scipy(n):
    x, y = related(n, n)
    estimates, linear, ranked = of(1e4 + x, y), stats.pearsonr(x, y), stats.spearmanr(x, y)
    assert (estimates.pearson.value, estimates.p_pearson) == pytest.approx((linear.statistic, linear.pvalue))
    assert (estimates.spearman.value, estimates.p_spearman) == pytest.approx(
        (ranked.statistic, ranked.pvalue), abs=1e-12
    )


def test_the_interval_is_close_to_fisher_s():
    x, y = related(400, 0)
    estimates = of(x, y, resamples=4000)
    low, high = stats.pearsonr(x, y).confidence_interval()
    assert (estimates.pearson.low, estimates.pearson.high) == pytest.approx((low, high), abs=0.02)


def test_rows_of_one_group_are_not_independent():
    """Every row four times: the same correlation, the same interval by groups, and no p-value."""
    x, y = related(50, 1)
    once = of(x, y)
    often = of(np.repeat(x, 4), np.repeat(y, 4), np.repeat(np.arange(50), 4))
    assert often.pearson.value == pytest.approx(once.pearson.value)
    assert (often.pearson.low, often.pearson.high) == pytest.approx((once.pearson.low, once.pearson.high))
    assert (often.rows, often.pearson.n) == (200, 50)
    assert math.isnan(often.p_pearson)
    assert math.isnan(often.p_spearman)


def test_rows_with_a_missing_side_are_left_out():
    x, y = related(20, 2)
    holed = np.append(x, [np.nan, 1.0]), np.append(y, [3.0, np.nan])
    assert of(*holed) == of(x, y)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0, 2.0], [2.0, 1.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_undefined_without_spread_or_rows(x, y):
    estimates = of(np.array(x), np.array(y))
    assert math.isnan(estimates.pearson.value)
    assert math.isnan(estimates.spearman.value)


def test_sums_of_equal_numbers_have_no_correlation():
    x, y = np.full(7, 0.1), np.arange(7.0)
    assert math.isnan(pearson_from_sums(correlation_terms(x, y).sum(0)))
