"""Intervals that hold for all estimates of a family at once, and so for the largest of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.intervals import SHARE
from lit_experiments.statistics.simultaneous import joint_critical


def test_one_estimate_or_copies_of_one_need_no_correction():
    values = np.random.default_rng(0).normal(size=(20, 1))
    alone = float(stdtrit(19, 0.975))
    assert joint_critical(values, 19, 0.95) == pytest.approx(alone)
    copies = np.hstack([values, 5 * values, -values])
    assert joint_critical(copies, 19, 0.95) == pytest.approx(alone, rel=0.02)


def test_unrelated_estimates_need_nearly_what_sidak_says_and_alike_ones_less():
    rng = np.random.default_rng(1)
    apart = rng.normal(size=(400, 10))
    alike = 0.95 * rng.normal(size=(400, 1)) + 0.3 * apart
    sidak = float(stdtrit(399, (1 + 0.95 ** (1 / 10)) / 2))
    assert joint_critical(apart, 399, 0.95) == pytest.approx(sidak, rel=0.03)
    assert stdtrit(399, 0.975) < joint_critical(alike, 399, 0.95) < 0.95 * sidak


@pytest.mark.parametrize("groups", [24, 1_200])  # the jackknife's groups, and resamples of many
def test_the_largest_of_many_is_held_as_often_as_promised(groups: int):
    """200 repeats of the largest of 12 means, whose truth is 0: its own interval misses far too often, the joint one
    does not; and joint intervals hold all 12 together."""
    rng, single, joint = np.random.default_rng(groups), 0, 0
    repeats = 200 if groups < 100 else 60
    for _ in range(repeats):
        values = rng.normal(size=(groups, 12))
        boot = GroupBootstrap(np.arange(groups), resamples=200, level=0.95, seed=0)
        top = int(values.mean(0).argmax())
        single += boot.mean(values)[top].low <= 0 <= boot.mean(values)[top].high
        joint += all(estimate.low <= 0 <= estimate.high for estimate in boot.jointly().mean(values))
    assert single / repeats < 0.85
    assert joint / repeats >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_joint_intervals_are_named_keep_their_value_and_are_never_narrower():
    shares = (np.random.default_rng(3).random((30, 5)) < [0.2, 0.4, 0.5, 0.6, 0.9]).astype(float)
    boot = GroupBootstrap(np.arange(30), resamples=100, level=0.95, seed=0)
    for alone, joint in zip(boot.mean(shares, SHARE), boot.jointly().mean(shares, SHARE), strict=True):
        assert (alone.value, alone.n) == (joint.value, joint.n)
        assert joint.low <= alone.low
        assert alone.high <= joint.high
        assert joint.method == f"{alone.method}, simultaneous"
        assert 0 < joint.low < joint.high < 1
    assert not boot.together
