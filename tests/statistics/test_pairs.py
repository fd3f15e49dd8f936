"""Paired tests against scipy and statsmodels on the same numbers; intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from lit_experiments.statistics import GroupBootstrap, paired


def compare(a, b, resamples=400):
    groups = np.arange(len(a)).astype(str)
    boot = GroupBootstrap(groups, resamples=resamples, level=0.95, seed=0)
    return paired(a, b, groups, boot, seed=0)


@pytest.mark.parametrize(("n", "effect"), [(2, 1.0), (7, 0.0), (40, 0.3), (120, -2.0)])
def test_tests_equal_scipy_and_statsmodels(n, effect):
    rng = np.random.default_rng(n)
    a = rng.normal(200, 20, n)
    b = a - effect + rng.normal(0, 3, n)
    comparison = compare(a, b)
    theirs, rank = stats.ttest_rel(a, b), stats.wilcoxon(a, b)
    assert (comparison.t, comparison.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (comparison.w, comparison.p_w) == pytest.approx((rank.statistic, rank.pvalue))
    assert (comparison.t, comparison.p) == pytest.approx(DescrStatsW(a - b).ttest_mean(0)[:2])
    assert comparison.d.value == pytest.approx((a - b).mean() / (a - b).std(ddof=1))
    assert comparison.difference.value == pytest.approx((a - b).mean())
    assert comparison.relative.value == pytest.approx((a - b).mean() / a.mean())
    assert (comparison.mean_a, comparison.mean_b, comparison.n) == (pytest.approx(a.mean()), pytest.approx(b.mean()), n)


def test_the_interval_of_a_difference_is_at_least_that_of_the_t_test():
    """Without skewness it is the t-test's; otherwise the skewed side becomes longer, and none shorter."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(5, 2, 30), rng.normal(4, 2, 30)
    even = np.concatenate([a - b, -(a - b)])
    ours, theirs = compare(even, np.zeros(60)).difference, stats.ttest_1samp(even, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs))
    skewed = rng.exponential(size=30)
    ours, theirs = compare(skewed, np.zeros(30)).difference, stats.ttest_1samp(skewed, 0).confidence_interval()
    assert ours.low == pytest.approx(theirs.low)
    assert ours.high > theirs.high


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        gaps = rng.normal(1.0, 2.0, 40)
        difference = compare(gaps, np.zeros(40), resamples=300).difference
        hits += difference.low <= 1.0 <= difference.high
    assert 180 <= hits <= 199


def test_pairs_with_a_missing_side_are_left_out():
    a = np.array([1.0, 2.0, np.nan, 4.0, 7.0])
    b = np.array([0.5, np.nan, 1.0, 2.0, 3.0])
    partial, whole = compare(a, b), compare(a[[0, 3, 4]], b[[0, 3, 4]])
    assert partial == whole
    assert partial.n == partial.difference.n == 3


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [2.0]), ([3.0, 3.0, 3.0], [1.0, 1.0, 1.0])])
def test_no_spread_no_test(a, b):
    comparison = compare(np.array(a), np.array(b))
    assert math.isnan(comparison.t)
    assert math.isnan(comparison.p)
    assert math.isnan(comparison.d.value)


def test_equal_sides_have_no_difference_and_no_test():
    comparison = compare(np.arange(5.0), np.arange(5.0))
    assert comparison.difference.value == 0
    assert comparison.difference.no_interval == "5 groups agree"
    assert math.isnan(comparison.p)
    assert math.isnan(comparison.p_w)
