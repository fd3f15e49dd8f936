"""The smallest effect that a design would show, held against the exact power of a t-test; two one-sided tests."""

import math

import numpy as np
import pytest
from scipy import stats

from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.equivalence import equivalent
from lit_experiments.statistics.estimate import Estimate
from lit_experiments.statistics.power import detectable, detectable_score


def _t_interval(n: int, error: float, value: float = 0.0) -> Estimate:
    half = stats.t.ppf(0.975, n - 1) * error
    return Estimate(value, value - half, value + half, n, 0.95)


@pytest.mark.parametrize("n", [5, 12, 100])
def test_a_t_test_at_the_detectable_effect_has_the_power(n: int) -> None:
    error = 0.3
    effect = detectable(_t_interval(n, error))
    exact = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, effect / error)  # power of the t-test (noncentral t)
    assert exact == pytest.approx(0.8, abs=0.015)


def test_a_permutation_test_at_the_detectable_score_has_the_power() -> None:
    """AUROCs of 60 and 60 rows: of those whose truth is the detectable one, four in five exceed the bound."""
    rng = np.random.default_rng(0)
    high = np.repeat([0.0, 1.0], 60)
    null = aurocs(rng.normal(size=(4000, 120)), high)
    bound = float(np.quantile(null, 0.95))
    effect = detectable_score(bound, *np.quantile(null, [0.025, 0.975]), 0.95)
    shift = math.sqrt(2) * stats.norm.ppf(effect)  # normal scores that far apart have this AUROC
    drawn = aurocs(rng.normal(size=(2000, 120)) + shift * high, high)
    assert (drawn > bound).mean() == pytest.approx(0.8, abs=0.04)
    assert math.isnan(detectable_score(bound, math.nan, 0.6, 0.95))
    with pytest.raises(ValueError, match="power"):
        detectable_score(bound, 0.4, 0.6, 0.95, power=0.3)


def test_no_interval_shows_nothing() -> None:
    few = Estimate(0.1, 0.0, 0.2, 3, 0.95)
    assert math.isnan(detectable(few))
    assert not equivalent(few, 0.1, 100.0)


def test_equivalence_is_two_one_sided_t_tests() -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(50):
        values = rng.normal(0.1, 1, 60)
        estimate = _t_interval(60, stats.sem(values), float(values.mean()))
        above = stats.ttest_1samp(values, -0.4, alternative="greater").pvalue
        below = stats.ttest_1samp(values, 0.4, alternative="less").pvalue
        assert equivalent(estimate, 0.0, 0.4) == (max(above, below) < 0.025)
        outcomes.add(equivalent(estimate, 0.0, 0.4))
    assert outcomes == {True, False}


def test_margins_and_powers_are_checked() -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalent(_t_interval(9, 1.0), 0.0, 0.0)
    with pytest.raises(ValueError, match="power"):
        detectable(_t_interval(9, 1.0), 0.2)


def test_one_of_many_tests_must_be_farther_away_to_be_seen() -> None:
    """The detectable effect of one of five tests has the power at a fifth of the level."""
    effect = detectable(_t_interval(40, 0.3), tests=5)
    exact = stats.nct.sf(stats.t.ppf(1 - 0.025 / 5, 39), 39, effect / 0.3)
    assert exact == pytest.approx(0.8, abs=0.015)
    with pytest.raises(ValueError, match="at least one test"):
        detectable(_t_interval(40, 0.3), tests=0)
