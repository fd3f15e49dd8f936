"""What a logistic run reports: scores as scikit-learn has them, controls, intervals, planted directions."""

import json
import math

import numpy as np
import pytest
from logistic_cases import classed, fit_classes, usual
from sklearn import metrics

from lit_experiments.probes.class_evaluate import predict_classes
from lit_experiments.probes.class_result import class_report
from tests.calibration_by_pairs import error_by_pairs

BOOT = {"resamples": 200, "level": 0.95, "seed": 0}
GRID = [1e-3, 1e-1]


def run(data, folder, classes, grid=GRID, **settings):
    solution = fit_classes(data, folder, grid, classes, **settings).solution
    predictions = predict_classes(solution, data, **BOOT)
    return solution, predictions, class_report(solution, predictions, bins=10)


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_those_of_scikit_learn(tmp_path, classes):
    x, y, _ = classed(classes=classes, strength=2)
    data = usual(x, y)
    _, predictions, result = run(data, tmp_path, classes)
    for name, scores in (("train", result.train), ("test", result.test)):
        true, probabilities, _ = predictions.part(name)
        answer = probabilities.argmax(1)
        assert np.array_equal(true, y[data.fold == -1] if name == "test" else y[data.fold >= 0])
        assert scores.accuracy.value == pytest.approx(metrics.accuracy_score(true, answer))
        assert scores.macro_f1.value == pytest.approx(metrics.f1_score(true, answer, average="macro"))
        assert scores.log_loss.value == pytest.approx(metrics.log_loss(true, probabilities, labels=range(classes)))
        error = error_by_pairs(probabilities.max(1), answer == true, np.arange(len(true)), 10)
        assert scores.calibration_error.value == pytest.approx(error)
        assert scores.confusion == metrics.confusion_matrix(true, answer, labels=range(classes)).tolist()
        table = metrics.precision_recall_fscore_support(true, answer, labels=range(classes), zero_division=0)
        for k, one in enumerate(scores.classes):
            assert (one.recall.value, one.f1.value) == pytest.approx((table[1][k], table[2][k]))
            assert one.rows == table[3][k]
        for estimate in (scores.accuracy, scores.macro_f1, scores.log_loss, scores.calibration_error):
            assert estimate.low <= estimate.value <= estimate.high or estimate is scores.calibration_error
            assert estimate.n == len(true)
        if classes == 2:
            assert scores.auroc.value == pytest.approx(metrics.roc_auc_score(true, probabilities[:, 1]))
            assert scores.auroc.low < scores.auroc.value < scores.auroc.high
        else:
            assert scores.auroc is None


def test_the_layer_that_knows_is_chosen_and_the_other_is_no_better_than_the_majority(tmp_path):
    x, y, _ = classed(rows=800, bias=1.0)
    data = usual(x[:, ::-1], y, layers=["noise", "signal"])
    solution, _, result = run(data, tmp_path, 3, [1e-3, 1e-1, 10.0])
    assert (result.layer, result.by_layer[1].converged, result.unconverged) == ("signal", True, 0)
    assert result.by_layer[1].test_accuracy.low > result.by_layer[0].test_accuracy.high
    common = np.bincount(y[data.fold >= 0]).argmax()
    assert result.majority.accuracy.value == pytest.approx((y[data.fold == -1] == common).mean())
    assert result.by_layer[0].test_log_loss.value > result.majority.log_loss.value - 0.02
    assert result.by_layer[1].test_accuracy.value == result.test.accuracy.value
    assert result.by_layer[1].test_log_loss.value == pytest.approx(result.test.log_loss.value, rel=1e-5)
    assert set(result.cv_log_loss) == {1e-3, 1e-1, 10.0}
    assert float(solution.cv_rows.sum()) == (data.fold >= 0).sum()


def test_a_planted_direction_is_found(tmp_path):
    x, _, _ = classed(rows=4000, layers=1, hidden=16)
    rng = np.random.default_rng(0)
    direction = rng.normal(size=16)
    x *= np.logspace(0, 2, 16, dtype=np.float32)
    odds = (x[:, 0] / x[:, 0].std(0)) @ direction
    y = (odds + rng.logistic(size=4000) > 0).astype(int)
    solution, _, _ = run(usual(x, y), tmp_path, 2, [1e-4])
    estimated = solution.coef[0, 0, 1].numpy()
    cosine = estimated @ direction / np.linalg.norm(estimated) / np.linalg.norm(direction)
    assert cosine > 0.99


def test_shuffled_labels_are_at_chance_by_the_same_machinery(tmp_path):
    x, y, _ = classed(rows=600, layers=2, strength=4)
    solution, predictions, result = run(usual(x, y, shuffles=9), tmp_path, 3)
    chance = result.majority.accuracy.value
    assert result.test.accuracy.value > chance + 0.2
    assert np.abs(np.mean(result.shuffled.accuracy) - 1 / 3) < 0.08
    assert max(result.shuffled.accuracy) < result.test.accuracy.low
    assert result.shuffled.p_value == pytest.approx(0.1)
    assert solution.layer_index.shape == (10,)
    assert predictions.shuffled[:, 2].tolist() == [predictions.test.sum()] * 9


def test_a_class_that_the_test_part_lacks_is_fine(tmp_path):
    x, y, _ = classed(classes=3)
    data = usual(x, y)
    data.setup()
    y[(data.fold == -1) & (y == 2)] = 1
    data = usual(x, y)
    _, predictions, result = run(data, tmp_path, 3)
    true, probabilities, _ = predictions.part("test")
    assert result.test.classes[2].rows == 0
    assert math.isnan(result.test.classes[2].recall.value)
    assert result.test.macro_f1.value == pytest.approx(metrics.f1_score(true, probabilities.argmax(1), average="macro"))


def test_intervals_are_over_groups(tmp_path):
    x, y, _ = classed(rows=200, layers=1)
    x, y, groups = np.repeat(x, 4, axis=0), np.repeat(y, 4), np.repeat(np.arange(200), 4)
    apart, together = (run(usual(x, y, g), tmp_path, 3)[2].test.accuracy for g in (np.arange(800), groups))
    assert together.n == 50
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_without_a_test_part_its_scores_are_nan(tmp_path):
    x, y, _ = classed()
    _, _, result = run(usual(x, y, test_fraction=0.0, shuffles=1), tmp_path, 2 + 1)
    for estimate in (
        result.test.accuracy,
        result.test.macro_f1,
        result.test.calibration_error,
        result.majority.log_loss,
    ):
        assert estimate.n == 0
        assert math.isnan(estimate.value)
    assert math.isnan(result.shuffled.p_value)
    assert result.train.accuracy.value > 0.6


def test_results_are_plain_json(tmp_path):
    x, y, _ = classed()
    _, _, result = run(usual(x, y, shuffles=1), tmp_path, 3)
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert back["test"]["accuracy"]["n"] == 100
    assert back["by_layer"][0]["converged"] is True
    assert set(back["cv_log_loss"]) == {"0.001", "0.1"}
