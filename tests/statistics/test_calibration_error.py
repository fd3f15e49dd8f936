"""The calibration error without the bias of small bins: against sums over pairs, and for a calibrated model."""

import numpy as np
import pytest

from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.calibration import expected_calibration_error
from lit_experiments.statistics.calibration_error import calibration_error
from tests.calibration_by_pairs import error_by_pairs


def _boot(groups: np.ndarray) -> GroupBootstrap:
    return GroupBootstrap(groups, resamples=50, level=0.95, seed=0)


def test_it_is_a_sum_over_pairs_of_rows_of_different_groups() -> None:
    rng = np.random.default_rng(0)
    groups, confidence = rng.integers(0, 20, 90), rng.uniform(0, 1, 90)
    outcome = (rng.uniform(size=90) < confidence**3).astype(float)
    estimate = calibration_error(confidence, outcome, 5, _boot(groups))
    assert estimate.value == pytest.approx(error_by_pairs(confidence, outcome, groups, 5))
    assert estimate.low <= estimate.value <= estimate.high


def test_a_calibrated_model_has_0_in_its_interval() -> None:
    held, plug_in = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0, 1, 60)
        outcome = (rng.uniform(size=60) < confidence).astype(float)
        held += calibration_error(confidence, outcome, 10, _boot(np.arange(60))).low == 0
        plug_in.append(expected_calibration_error(confidence, outcome, 10))
    assert held >= 186
    assert np.mean(plug_in) > 0.1  # what the plug-in error says of the same model


def test_a_miscalibrated_model_has_not() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 200)
    outcome = (rng.uniform(size=200) < confidence - 0.3).astype(float)
    estimate = calibration_error(confidence, outcome, 10, _boot(np.arange(200)))
    assert estimate.low > 0.1
    assert estimate.low < 0.3 < estimate.high


def test_groups_that_agree_exactly_have_no_interval() -> None:
    boot = GroupBootstrap(np.arange(12), resamples=100, level=0.95, seed=0)
    error = calibration_error(np.ones(12), np.ones(12), 5, boot)
    assert error.value == 0
    assert not error.has_interval
