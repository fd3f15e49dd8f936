"""What is reported: scores against scikit-learn, honest choices, controls, baselines, null data."""

import json
import math

import numpy as np
import pytest
from probe_cases import PENALTIES, fit, module, planted
from scipy import stats
from sklearn import metrics

from lit_experiments.probes.baselines import univariate
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.evaluate import predict
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.result import report
from lit_experiments.statistics import one_way

BOOT = {"resamples": 200, "level": 0.95, "seed": 0}


def run(data, folder, penalties=PENALTIES):
    solution = fit(data, folder, penalties).solution
    predictions = predict(solution, data, **BOOT)
    return solution, predictions, report(solution, predictions)


def test_scores_equal_scikit_learn_on_both_parts(tmp_path):
    x, y, _ = planted(rows=200, repetitions=3, noise=2.0)
    y[::7, 1] = np.nan
    data = module(x, y, np.arange(200) // 2)
    solution, _, results = run(data, tmp_path)
    probe = LinearProbe.of(solution, data)
    for t, result in enumerate(results):
        predictions = probe.predict(x[:, data.layers.index(result.layer)], result.target)
        for part, scores in ((data.fold == TEST, result.test), (data.fold != TEST, result.train)):
            row, repetition = np.nonzero(part[:, None] & ~np.isnan(y[..., t]))
            true, predicted = y[row, repetition, t], predictions[row]
            assert scores.r2.value == pytest.approx(metrics.r2_score(true, predicted))
            assert scores.mse.value == pytest.approx(metrics.mean_squared_error(true, predicted))
            assert scores.mae.value == pytest.approx(metrics.mean_absolute_error(true, predicted))
            assert scores.spearman.value == pytest.approx(stats.spearmanr(true, predicted)[0])
            assert scores.values == len(true)
            assert scores.groups == scores.r2.n == len(set(row // 2))
            for estimate in (scores.r2, scores.mse, scores.mae, scores.spearman):
                assert estimate.low < estimate.value < estimate.high


def test_layer_curve_names_every_layer_and_agrees_with_the_chosen_one(tmp_path):
    x, y, _ = planted()
    _, _, results = run(module(x, y, layers=["embed", "mid", "top"]), tmp_path)
    for result in results:
        curve = {entry.layer: entry for entry in result.by_layer}
        assert list(curve) == ["embed", "mid", "top"]
        assert result.layer == "mid"
        assert curve["mid"].test_r2.value == pytest.approx(result.test.r2.value)
        assert (curve["mid"].test_r2.low, curve["mid"].penalty) == pytest.approx((result.test.r2.low, result.penalty))
        assert curve["embed"].test_r2.value < 0.1 < curve["mid"].test_r2.value
        assert result.cv_mse[result.penalty] == min(result.cv_mse.values())


def test_the_test_part_has_no_say_in_layer_penalty_or_weights(tmp_path):
    """Garbage in the test rows changes their scores and nothing else."""
    x, y, _ = planted(rows=120, noise=5.0)
    clean = module(x, y, np.arange(120) // 3)
    solution, _, results = run(clean, tmp_path)
    test = clean.fold == TEST
    rng = np.random.default_rng(9)
    x[test] = 1e4 * rng.normal(size=x[test].shape)
    y[test] = -1e4 * rng.normal(size=y[test].shape)
    spoiled, _, spoiled_results = run(module(x, y, np.arange(120) // 3), tmp_path)
    for name in ("mean", "scale", "y_mean", "coef", "cv_mse", "penalty_index", "layer_index"):
        assert np.array_equal(getattr(solution, name), getattr(spoiled, name))
    for a, b in zip(results, spoiled_results, strict=True):
        assert (a.layer, a.penalty, a.train) == (b.layer, b.penalty, b.train)
        assert a.test.r2.value != b.test.r2.value


def test_nothing_to_find_is_not_found(tmp_path):
    """Pure noise over many layers and penalties: the test R2 interval reaches 0 or below, and shuffles do as well."""
    claims = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(200, 6, 15)).astype(np.float32), rng.normal(size=(200, 2))
        _, _, results = run(module(x, y, shuffles=19), tmp_path)
        for result in results:
            assert result.test.r2.low <= 0
            claims += result.shuffled.p_value <= 0.05
    assert claims <= 2


def test_shuffled_targets_control_fails_where_the_real_ones_succeed(tmp_path):
    x, y, _ = planted(repetitions=2)
    data = module(x, y, np.arange(400) // 2, shuffles=19)
    _, _, results = run(data, tmp_path)
    assert data.targets[:4] == ["0", "1", "shuffle0:0", "shuffle0:1"]
    assert len(results) == 2
    for result in results:
        assert result.test.r2.low > 0.8
        assert len(result.shuffled.r2) == 19
        assert max(result.shuffled.r2) < 0.1
        assert result.shuffled.p_value == pytest.approx(0.05)


def test_shuffles_leave_the_real_targets_as_they_are(tmp_path):
    x, y, _ = planted()
    alone, _, _ = run(module(x, y), tmp_path)
    beside, _, _ = run(module(x, y, shuffles=2), tmp_path)
    assert beside.coef[:, :2].numpy() == pytest.approx(alone.coef.numpy(), rel=1e-9)


def test_shuffles_with_absent_repetitions_are_refused(tmp_path):
    x, y, _ = planted(rows=60, repetitions=2)
    y[3, 1] = np.nan
    with pytest.raises(ProbeError, match="shuffles: 0"):
        run(module(x, y, shuffles=1), tmp_path)


def test_noise_ceiling_is_the_between_share_and_r2_reaches_it(tmp_path):
    """A perfect predictor of the row's mean explains all of the ceiling, whatever the noise."""
    x, y, _ = planted(rows=1500, layers=1, signal_layer=0, repetitions=4, noise=3.0, targets=1)
    data = module(x, y)
    _, _, (result,) = run(data, tmp_path)
    test = data.fold == TEST
    assert result.ceiling.value == pytest.approx(one_way(y[test].ravel(), np.repeat(np.arange(test.sum()), 4)).share)
    assert result.ceiling.value == pytest.approx(1 - 9.0 / y[:, :, 0].var(), abs=0.08)
    assert result.ceiling.low < result.ceiling.value < result.ceiling.high
    assert result.of_ceiling.value == pytest.approx(result.test.r2.value / result.ceiling.value)
    assert result.of_ceiling.value == pytest.approx(1, abs=0.05)
    joint = result.of_ceiling.high - result.of_ceiling.low
    assert joint < (result.test.r2.high - result.test.r2.low) / result.ceiling.value


def test_no_ceiling_without_repetitions(tmp_path):
    x, y, _ = planted()
    _, _, results = run(module(x, y), tmp_path)
    assert math.isnan(results[0].ceiling.value)
    assert math.isnan(results[0].of_ceiling.high)


def test_baselines(tmp_path):
    x, y, _ = planted(rows=300, layers=1, signal_layer=0, repetitions=2)
    length = np.random.default_rng(0).integers(5, 50, 300)
    y[..., 0] += 3.0 * length[:, None]
    data = module(x, y)
    _, predictions, results = run(data, tmp_path)
    by_length, constant = univariate(predictions, length), univariate(predictions, np.full(300, 0.1))
    train, test = data.fold != TEST, data.fold == TEST
    slope = stats.linregress(np.repeat(length[train], 2), y[train, :, 0].ravel())
    line = slope.intercept + slope.slope * np.repeat(length[test], 2)
    assert by_length[0].value == pytest.approx(metrics.r2_score(y[test, :, 0].ravel(), line))
    assert by_length[0].value > 0.9 > 0.1 > by_length[1].value
    for t, result in enumerate(results):
        assert result.mean_baseline.value == pytest.approx(constant[t].value)
        assert -0.1 < result.mean_baseline.value <= 0
    with pytest.raises(ProbeError, match="finite number"):
        univariate(predictions, np.full(300, np.nan))


def test_without_a_test_part_everything_about_it_is_nan(tmp_path):
    x, y, _ = planted(repetitions=2)
    _, predictions, results = run(module(x, y, test_fraction=0.0, shuffles=1), tmp_path)
    for result in results:
        for estimate in (result.test.r2, result.test.spearman, result.ceiling, result.of_ceiling, result.mean_baseline):
            assert estimate.n == 0
            assert math.isnan(estimate.value)
        assert math.isnan(result.shuffled.p_value)
        assert result.train.r2.value > 0.9
    assert math.isnan(univariate(predictions, np.arange(400))[0].value)


def test_results_are_plain_json(tmp_path):
    x, y, _ = planted()
    _, _, results = run(module(x, y, shuffles=2), tmp_path)
    text = json.dumps([result.to_dict() for result in results], allow_nan=False)
    first = json.loads(text)[0]
    assert first["test"]["r2"]["n"] == 100
    assert first["ceiling"]["value"] is None
    assert set(first["cv_mse"]) == {"0.01", "1.0", "100.0", "10000.0"}


def test_a_fixed_penalty_is_used_and_still_lets_the_layer_be_chosen(tmp_path):
    x, y, _ = planted()
    _, _, results = run(module(x, y), tmp_path, penalties=[1.0])
    assert {r.penalty for r in results} == {1.0}
    assert {r.layer for r in results} == {"1"}
    alone = module(x[:, :1], y, folds=1)
    _, _, results = run(alone, tmp_path, penalties=[1.0])
    assert results[0].by_layer[0].cv_mse is None
