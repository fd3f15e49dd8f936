"""One-way random effects against hand calculation, statsmodels and simulation."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from lit_experiments.statistics import GroupBootstrap, one_way
from lit_experiments.statistics.ceiling import ceiling_estimates
from lit_experiments.statistics.variance import class_terms, share_from_sums

VALUES = np.array([9.0, 8, 7, 6, 6, 5, 3, 2, 1, 2])
CLASSES = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])


def test_balanced_case_by_hand():
    """Three pairs: MSB = 16, MSW = 1/2, so between = (16 - 0.5) / 2 and within = 0.5."""
    components = one_way([1.0, 2, 5, 6, 9, 10], [0, 0, 1, 1, 2, 2])
    assert components.within == pytest.approx(0.5)
    assert components.between == pytest.approx((32 - 0.5) / 2)
    assert components.share == pytest.approx(15.75 / 16.25)
    assert not components.clipped


def test_unbalanced_components_follow_the_anova_table():
    """statsmodels gives the mean squares; n0 = (N - sum n_i^2 / N) / (k - 1) from the class sizes 3, 3, 4."""
    frame = pd.DataFrame({"y": VALUES, "c": CLASSES})
    table = sm.stats.anova_lm(sm.formula.ols("y ~ C(c)", frame).fit())
    between, within = table["mean_sq"]["C(c)"], table["mean_sq"]["Residual"]
    components = one_way(VALUES, CLASSES)
    assert components.within == pytest.approx(within)
    assert components.between == pytest.approx((between - within) / ((10 - 34 / 10) / 2))
    assert stats.f_oneway(*(VALUES[c == CLASSES] for c in range(3))).statistic == pytest.approx(between / within)


def test_share_is_found_in_unbalanced_simulated_data():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(3000), rng.integers(1, 9, 3000))
    values = 100 + 2 * rng.normal(size=3000)[classes] + rng.normal(size=len(classes))
    assert one_way(values, classes).share == pytest.approx(0.8, abs=0.02)


def test_negative_between_is_clipped_and_said_so():
    components = one_way([0.0, 10, 0, 10], [0, 0, 1, 1])
    assert (components.between, components.share, components.clipped) == (0.0, 0.0, True)


@pytest.mark.parametrize(("values", "classes"), [([], []), ([1.0, 2], [0, 0]), ([1.0, 2], [0, 1])])
def test_not_estimable_is_nan(values, classes):
    assert math.isnan(one_way(values, classes).share)


def test_share_from_sums_over_classes_equals_the_direct_one_and_bootstraps():
    values = np.concatenate([VALUES, VALUES[::-1] + 1])
    classes = np.concatenate([CLASSES, CLASSES + 3])
    centred = values - values.mean()
    total, squares = np.bincount(classes, centred), np.bincount(classes, centred**2)
    terms = class_terms(np.bincount(classes), total, squares)
    assert share_from_sums(terms.sum(0)) == pytest.approx(one_way(values, classes).share)
    boot = GroupBootstrap(np.arange(6), resamples=100, level=0.5, seed=0)
    estimate = boot.from_sums(boot.sums(terms), share_from_sums).item()
    assert estimate.low <= estimate.value <= estimate.high


def test_a_share_below_what_chance_gives_is_shown_as_it_is():
    terms = class_terms(np.full(2, 2), np.zeros(2), np.full(2, 50.0))
    assert share_from_sums(terms.sum(0)) == pytest.approx(-1.0), "two values of a class: -1 / (2 - 1) is the lowest"


def test_a_ceiling_has_the_interval_of_the_jackknifed_log_f_ratio():
    """Balanced: F = MSB / MSW of scipy, without one row after the other; the share is (F - 1) / (F - 1 + m)."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(12, 1)) + rng.normal(size=(12, 4))
    ceiling, of_ceiling = ceiling_estimates(
        values, values.mean(1), 0.0, GroupBootstrap(np.arange(12), resamples=1, level=0.95, seed=0)
    )
    f = stats.f_oneway(*values).statistic
    share = (f - 1) / (f - 1 + 4)
    assert ceiling.value == pytest.approx(share)
    without = []
    for row in range(12):
        ratio = stats.f_oneway(*np.delete(values, row, 0)).statistic
        without.append((ratio - 1) / (ratio - 1 + 4))
    error = np.sqrt(11 / 12 * ((np.array(without) - share) ** 2).sum()) * 4 / ((1 - share) * (1 + 3 * share))
    ends = np.exp(np.log(f) + np.array([-1, 1]) * stats.t.ppf(0.975, 11) * error) - 1
    assert (ceiling.low, ceiling.high) == pytest.approx(tuple(ends / (ends + 4)))
    assert ceiling.method == "jackknife t, log F"
    assert of_ceiling.value > 1, "the rows' means are seen, with their noise"


def test_a_ceiling_of_noise_holds_0():
    ceiling, _ = ceiling_estimates(
        np.random.default_rng(5).normal(size=(40, 3)),
        np.zeros(40),
        0.0,
        GroupBootstrap(np.arange(40), resamples=1, level=0.95, seed=0),
    )
    assert ceiling.low < 0 < ceiling.high
