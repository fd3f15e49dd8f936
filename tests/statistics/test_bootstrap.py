"""The group bootstrap: coverage, what a group is, and what happens without data."""

import json
import math

import numpy as np
import pytest

from lit_experiments.statistics import Estimate, GroupBootstrap, r_squared, spearman
from lit_experiments.statistics.bootstrap import MAX_UNITS
from lit_experiments.statistics.scores import error_terms, mse_from_sums, r2_from_sums


def mean_of(sums):
    return sums[..., 1] / sums[..., 0]


def grouped(rng, groups, rows, between):
    codes = np.repeat(np.arange(groups), rows)
    return codes, rng.normal(size=groups)[codes] * between + rng.normal(size=groups * rows)


def interval_of_mean(codes, values, seed):
    boot = GroupBootstrap(codes, resamples=300, level=0.9, seed=seed)
    return boot.from_sums(boot.sums(np.stack([np.ones_like(values), values], -1)), mean_of).item()


def test_interval_of_a_mean_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(400):
        estimate = interval_of_mean(*grouped(rng, 60, 4, between=1.5), seed)
        inside += estimate.low <= 0 <= estimate.high
    assert 0.86 <= inside / 400 <= 0.94


def test_rows_taken_as_independent_would_cover_too_seldom():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        _, values = grouped(rng, 60, 4, between=1.5)
        estimate = interval_of_mean(np.arange(240), values, seed)
        inside += estimate.low <= 0 <= estimate.high
    assert inside / 200 < 0.75


def test_sums_and_rows_give_the_same_interval():
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(30), 3)
    true = rng.normal(size=90)
    predicted = true + rng.normal(size=90)
    boot = GroupBootstrap(codes, resamples=200, level=0.95, seed=0)
    by_sums = boot.from_sums(boot.sums(error_terms(true, predicted, true.mean())), r2_from_sums).item()
    by_rows = boot.from_rows(lambda w: r_squared(true, predicted, w))
    assert (by_sums.value, by_sums.low, by_sums.high) == pytest.approx(
        (by_rows.value, by_rows.low, by_rows.high), rel=1e-9
    )
    assert by_sums.n == 30


def test_interval_equals_one_from_resampled_rows():
    """The weights are the repeated rows: compare with a bootstrap that really repeats them."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=50)
    b = a + rng.normal(size=50)
    boot = GroupBootstrap(np.arange(50), resamples=4000, level=0.9, seed=0)
    ours = boot.from_resamples(0.0, boot.resampled_draws(lambda w: np.array([spearman(a, b, r) for r in w]))).item()
    draws = [spearman(a[i], b[i]) for i in rng.integers(0, 50, (4000, 50))]
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])), abs=0.02)


def test_more_groups_than_units_keep_the_width():
    rng = np.random.default_rng(4)
    values = rng.normal(size=4 * MAX_UNITS)
    estimate = interval_of_mean(np.arange(len(values)), values, 0)
    assert estimate.n == len(values)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.645 / math.sqrt(len(values)), rel=0.15)


def test_group_names_may_be_strings_and_order_does_not_matter():
    rng = np.random.default_rng(5)
    codes, values = grouped(rng, 20, 3, between=1)
    shuffled = rng.permutation(60)
    names = np.array([f"doc-{c:02d}" for c in codes])
    assert interval_of_mean(names[shuffled], values[shuffled], 7).low == pytest.approx(
        interval_of_mean(codes, values, 7).low
    )


def test_batches_of_statistics_share_the_resamples():
    rng = np.random.default_rng(6)
    true = rng.normal(size=40)
    predicted = np.stack([true + 0.1, true * 0.5], -1)
    boot = GroupBootstrap(np.arange(40), resamples=100, level=0.95, seed=0)
    both = boot.from_sums(boot.sums(error_terms(true[:, None], predicted, 0.0)), mse_from_sums)
    one = boot.from_sums(boot.sums(error_terms(true, predicted[:, 1], 0.0)), mse_from_sums).item()
    assert both.shape == (2,)
    assert both[1].low == pytest.approx(one.low)
    assert both[0].value == pytest.approx(0.01)
    assert both[0].no_interval == f"{both[0].n} groups agree"


def test_no_rows_is_nan_and_not_zero():
    boot = GroupBootstrap(np.zeros(0, int), resamples=50, level=0.95, seed=0)
    for estimate in (
        boot.from_sums(boot.sums(np.zeros((0, 5))), r2_from_sums).item(),
        boot.from_rows(lambda w: spearman([], [], w)),
    ):
        assert estimate.n == 0
        assert all(math.isnan(v) for v in (estimate.value, estimate.low, estimate.high))


def test_no_interval_is_claimed_when_most_resamples_leave_the_statistic_undefined():
    true = np.array([0.0, 1.0])
    boot = GroupBootstrap([0, 1], resamples=200, level=0.95, seed=0)
    estimate = boot.from_sums(boot.sums(error_terms(true, true * 0.9, 0.5)), r2_from_sums).item()
    assert not math.isnan(estimate.value)
    assert math.isnan(estimate.low)


def test_estimates_travel_through_json():
    for estimate in (Estimate(0.5, 0.25, 0.75, 12, 0.95), Estimate.undefined(0, 0.9)):
        back = Estimate.from_dict(json.loads(json.dumps(estimate.to_dict(), allow_nan=False)))
        assert repr(back) == repr(estimate)


def test_many_weightings_at_once_give_the_estimates_of_one_after_the_other() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(60, 2))
    boot = GroupBootstrap(np.arange(60) // 3, resamples=200, level=0.95, seed=1)
    together = boot.from_weights(lambda w: (w @ values) / w.sum(1, keepdims=True))
    for column, estimate in enumerate(together):
        alone = boot.from_rows(lambda w, c=column: float(w @ values[:, c] / w.sum()))
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((alone.value, alone.low, alone.high))
        assert estimate.n == alone.n == 20
