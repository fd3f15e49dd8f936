"""Intervals in words: what would have been seen stands beside what is not, and nothing is "none" without a test."""

import math

import numpy as np
import pytest
from scipy import stats

from lit_experiments.reports.findings import (
    detectable_correlation,
    no_correlation,
    power_of,
    power_of_all,
    power_of_correlation,
    power_of_correlations,
)
from lit_experiments.statistics import Estimate


def test_the_correlation_that_would_have_been_seen_is_that_of_fisher_s_test() -> None:
    """1 / sqrt(n - 3) is the standard error of atanh(r): the power at the effect is 80 %."""
    n = 103
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n - 3)
    effect = detectable_correlation(Estimate(0.0, math.tanh(-half), math.tanh(half), n, 0.95))
    power = stats.norm.sf(stats.norm.ppf(0.975) - math.atanh(effect) * math.sqrt(n - 3))
    assert power == pytest.approx(0.8, abs=0.02)
    drawn = np.random.default_rng(0).normal(size=(2000, 2, n))
    together = effect * drawn[:, 0] + math.sqrt(1 - effect**2) * drawn[:, 1]
    seen = np.mean([stats.pearsonr(x, y).pvalue < 0.05 for x, y in zip(drawn[:, 0], together, strict=True)])
    assert seen == pytest.approx(0.8, abs=0.04)


def test_what_is_not_seen_says_what_would_have_been() -> None:
    assert power_of(Estimate(0.1, -1.0, 1.2, 20, 0.95), unit="nats") == (
        " (a difference of 1.55 nats would have been seen with 80 % power)"
    )
    assert "a correlation of 0.5" in power_of_correlation(Estimate(0.0, -0.4, 0.4, 30, 0.95))
    few = Estimate(0.1, -1.0, 1.2, 3, 0.95)
    assert power_of(few) == power_of_correlation(few) == ""


def test_of_several_the_least_certain_says_what_would_have_been_seen_in_each() -> None:
    sure, unsure = Estimate(0.0, -0.1, 0.1, 20, 0.95), Estimate(0.1, -0.4, 0.4, 20, 0.95)
    few = Estimate(0.1, -1.0, 1.2, 3, 0.95)
    assert power_of_all([sure, few, unsure], "a change", "nats") == power_of(unsure, "a change", "nats") != ""
    assert power_of_correlations([unsure, few, sure]) == power_of_correlation(unsure)
    assert power_of_all([few]) == power_of_correlations([]) == ""


def test_a_correlation_is_none_only_where_all_of_the_interval_is_small() -> None:
    assert no_correlation(Estimate(0.0, -0.1, 0.1, 900, 0.95))
    assert not no_correlation(Estimate(0.0, -0.1, 0.3, 90, 0.95))
    assert not no_correlation(Estimate(0.0, -0.1, 0.1, 3, 0.95))
