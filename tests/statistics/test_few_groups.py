"""When an estimate has an interval, and what is said where it has none."""

import json
import math

import numpy as np
import pytest

from lit_experiments.plain import plain
from lit_experiments.reports.cells import interval
from lit_experiments.statistics import LEAST_GROUPS, Estimate, GroupBootstrap, correlation, paired
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.statistics.pairs import adjusted

NAN = math.nan


def boot_over(groups, resamples=400):
    return GroupBootstrap(groups, resamples=resamples, level=0.95, seed=0)


def mean_of(values, groups, within=None):
    boot = boot_over(groups)
    sums = boot.sums(np.stack([values, np.ones_like(values)], -1))
    return boot.from_sums(sums, lambda s: s[..., 0] / s[..., 1], within).item()


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_few_groups_give_no_interval_however_many_rows_they_have(groups):
    codes = np.repeat(np.arange(groups), 100)
    estimate = mean_of(np.random.default_rng(0).normal(size=len(codes)), codes)
    assert estimate.too_few
    assert (estimate.n, estimate.has_interval, estimate.side_of(-100)) == (groups, False, 0)
    assert interval(estimate).endswith(f"(no interval: {groups} group{'s' if groups > 1 else ''})")
    written = json.loads(json.dumps(plain(estimate), allow_nan=False))
    assert (written["low"], written["high"], written["n"]) == (None, None, groups)
    assert Estimate.from_dict(written).no_interval == estimate.no_interval


def test_five_groups_give_one():
    estimate = mean_of(np.random.default_rng(0).normal(size=LEAST_GROUPS), np.arange(LEAST_GROUPS))
    assert estimate.low < estimate.value < estimate.high
    assert (estimate.no_interval, estimate.side_of(estimate.low - 1), estimate.side_of(estimate.high + 1)) == (
        None,
        1,
        -1,
    )


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_resamples_that_all_agree_are_no_interval_without_width(value):
    """0.3 is not exact: its means differ by rounding, which is no width either."""
    estimate = mean_of(np.full(40, value), np.arange(40))
    assert (estimate.value, estimate.no_interval) == (pytest.approx(value), "40 groups agree")
    assert estimate.unanimous
    assert "[" not in interval(estimate)


@pytest.mark.parametrize(("value", "groups"), [(1.0, 5), (0.0, 40), (1.0, 200)])
def test_a_share_of_none_or_all_has_the_interval_of_clopper_and_pearson(value, groups):
    from statsmodels.stats.proportion import proportion_confint

    estimate = mean_of(np.full(groups, value), np.arange(groups), SHARE)
    expected = proportion_confint(int(value * groups), groups, 0.05, method="beta")
    assert (estimate.low, estimate.high) == pytest.approx(expected)


def test_a_difference_that_is_rounding_has_no_interval_of_rounding():
    noise = np.random.default_rng(0).normal(scale=1e-16, size=40)
    difference = mean_of(noise, np.arange(40))
    assert difference.no_interval == "40 groups agree"


def test_an_agreed_difference_of_shares_stays_within_its_range():
    estimate = mean_of(np.full(10, 0.5), np.arange(10), GAP)
    assert -1 < estimate.low < 0.5 < estimate.high < 1


def test_groups_that_add_nothing_are_not_counted():
    """20 groups, of which 3 have a value: the interval rests on 3."""
    there = np.arange(20) < 3
    boot = boot_over(np.arange(20))
    sums = boot.sums(np.stack([np.where(there, np.arange(20.0), 0), there], -1))
    estimate = boot.from_sums(sums, lambda s: s[..., 0] / s[..., 1]).item()
    assert (estimate.n, estimate.no_interval) == (3, "3 groups")


def test_what_rests_on_a_rare_side_has_no_interval():
    boot = boot_over(np.arange(300))
    assert boot.from_rows(lambda w: float(w @ np.arange(300)), used=4).no_interval == "4 groups"
    assert boot.from_rows(lambda w: float(w @ np.arange(300)), used=5).n == 300


def test_a_statistic_that_resamples_leave_undefined_says_so():
    boot = boot_over(np.arange(30))
    estimate = boot.from_rows(lambda w: float("nan") if w[0] == 0 else 1.0 + w[0])
    assert estimate.no_interval == "not determined by 30 groups"


@pytest.mark.parametrize(
    "made",
    [
        Estimate(0.5, 0.2, 0.8, 4, 0.95),
        Estimate(0.5, 0.5, 0.5, 50, 0.95),
        Estimate(0.5, NAN, 0.7, 50, 0.95),
        Estimate.undefined(0, 0.95),
        Estimate(2.0, 1.0, 3.0, 3, 0.95).mapped(math.exp),
    ],
)
def test_no_way_of_making_an_estimate_goes_past_the_rule(made):
    assert math.isnan(made.low)
    assert math.isnan(made.high)
    assert made.no_interval
    assert "nan" not in interval(made)


def test_bounds_that_differ_are_printed_so():
    assert interval(Estimate(0.99991, 0.999905, 0.999915, 50, 0.95)) == "0.999910 [0.999905, 0.999915]"
    assert interval(Estimate(123456.0, 123450.0, 123460.0, 50, 0.95)) == "123,456 [123,450, 123,460]"


def test_pairs_and_correlations_follow_the_rule():
    x, y, groups = np.array([1.0, 3, 2, 5]), np.array([2.0, 2, 4, 1]), np.arange(4)
    assert not paired(x, y, groups, boot_over(groups), 0).difference.has_interval
    assert not correlation(x, y, groups, resamples=50, level=0.95, seed=0).spearman.has_interval


def test_a_covariate_that_explains_the_difference_leaves_none():
    """y = 3 x + noise over pairs with x around 1: the mean difference is 3, that of pairs with equal covariates 0."""
    rng = np.random.default_rng(1)
    x = rng.normal(1, 1, 200)
    y = 3 * x + rng.normal(0, 0.5, 200)
    groups = np.arange(200)
    adjustment = adjusted(y, x, groups, boot_over(groups), 0)
    line = np.polynomial.Polynomial.fit(x, y, 1).convert().coef
    assert (adjustment.effect.value, adjustment.slope.value) == pytest.approx(tuple(line))
    assert adjustment.effect.side_of(0) == 0
    assert not adjustment.extrapolated
    assert adjusted(y, x + 9, groups, boot_over(groups), 0).extrapolated


def test_a_covariate_that_is_equal_in_all_pairs_changes_nothing():
    y, groups = np.random.default_rng(2).normal(1, 1, 30), np.arange(30)
    adjustment = adjusted(y, np.zeros(30), groups, boot_over(groups), 0)
    assert adjustment.effect.value == pytest.approx(y.mean())
    assert math.isnan(adjustment.slope.value)
    assert math.isnan(adjusted(y, np.full(30, 0.4), groups, boot_over(groups), 0).effect.value)
