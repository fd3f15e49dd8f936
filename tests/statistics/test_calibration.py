"""Calibration scores against scikit-learn on the same numbers, and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from lit_experiments.statistics.calibration import auroc, aurocs, brier_score, expected_calibration_error, reliability


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    confidence = np.round(rng.uniform(size=400), 2)  # with ties
    return confidence, (rng.uniform(size=400) < confidence**2).astype(float), rng.integers(0, 4, 400).astype(float)


def test_brier_and_auroc_equal_scikit_learn_with_and_without_weights(rows):
    confidence, outcome, weights = rows
    for w in (None, weights):
        assert brier_score(confidence, outcome, w) == pytest.approx(
            brier_score_loss(outcome, confidence, sample_weight=w)
        )
        assert auroc(confidence, outcome, w) == pytest.approx(roc_auc_score(outcome, confidence, sample_weight=w))


def test_many_aurocs_at_once_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    scores, outcomes = np.round(rng.normal(size=(3, 50)), 1), (rng.random((3, 50)) < 0.4).astype(float)
    weights = rng.integers(0, 4, (3, 50)).astype(float)
    for s, y in ((scores, outcomes), (scores[0], outcomes[0]), (scores[0], outcomes), (scores, outcomes[0])):
        rows = [np.broadcast_to(values, (3, 50)) for values in (s, y, weights)]
        expected = [roc_auc_score(true, score, sample_weight=w) for score, true, w in zip(*rows, strict=True)]
        assert aurocs(s, y, weights) == pytest.approx(expected)


def test_auroc_compares_rows_of_one_stratum_only() -> None:
    rng = np.random.default_rng(3)
    score, outcome, stratum = np.round(rng.normal(size=40), 1), rng.random(40) < 0.5, rng.integers(0, 3, 40)
    parts = [(outcome[stratum == part], score[stratum == part]) for part in range(3)]
    pairs = [true.sum() * (~true).sum() for true, _ in parts]
    expected = np.average([roc_auc_score(*part) for part in parts], weights=pairs)
    assert aurocs(score + 100 * stratum, outcome, stratum=stratum) == pytest.approx(expected)
    assert np.isnan(aurocs([0.1, np.nan, 0.3], [1, 0, 0]))


def test_reliability_bins_equal_scikit_learn(rows):
    confidence, outcome, _ = rows
    table = reliability(confidence, outcome, 10)
    accuracy, stated = calibration_curve(outcome, confidence, n_bins=10)
    assert table.accuracy[table.weight > 0] == pytest.approx(accuracy)
    assert table.confidence[table.weight > 0] == pytest.approx(stated)
    assert table.weight.sum() == 400


def test_weights_are_repetitions(rows):
    confidence, outcome, weights = rows
    repeated = [np.repeat(values, weights.astype(int)) for values in (confidence, outcome)]
    assert expected_calibration_error(confidence, outcome, 8, weights) == pytest.approx(
        expected_calibration_error(*repeated, 8)
    )


def test_calibration_error_by_hand():
    # bin (0.8, 1]: stated 0.9, right 0.5, two rows; bin [0, 0.2]: stated 0.1, right 0, two rows
    error = expected_calibration_error([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0], 5)
    assert error == pytest.approx((0.4 * 2 + 0.1 * 2) / 4)
    assert expected_calibration_error([1.0, 0.0], [1, 0], 10) == 0


def test_undefined_scores_are_nan():
    assert math.isnan(auroc([0.2, 0.3], [1, 1]))
    assert math.isnan(expected_calibration_error([], [], 10))
    assert math.isnan(brier_score([0.5], [1], [0]))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 confidences, 1 outcomes"):
        brier_score([0.5, 0.5], [1])
