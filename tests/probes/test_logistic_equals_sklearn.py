"""The batched fits reach scikit-learn's optimum, on easy and on hard data."""

import numpy as np
import pytest
from logistic_cases import classed, fit_classes, ill, sklearn_fit, train_part, usual
from sklearn.metrics import log_loss

from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.probes.errors import ProbeError


def compare(x, y, classes, folder, penalty, probability_within=1e-3, **settings):
    """Fit every layer, compare with scikit-learn, and return the solution."""
    data = usual(x, y)
    probe = fit_classes(data, folder, [penalty], classes, **settings)
    rows, solution = train_part(data, y), probe.solution
    for layer in range(x.shape[1]):
        _, objective, probability = sklearn_fit(x[rows, layer], y[rows], penalty)
        ours = ClassProbe.of(solution, data, {}, {}, data.layers[layer]).predict_proba(x[rows, layer])
        assert float(solution.final.objective[layer, 0]) == pytest.approx(objective, rel=1e-4)
        assert np.abs(ours - probability).max() < probability_within
    assert bool(solution.final.converged.all())
    assert bool(solution.chosen_from.converged.all())
    return solution


@pytest.mark.parametrize(
    ("rows", "layers", "hidden", "classes", "penalty"),
    [(400, 2, 8, 3, 1e-2), (300, 1, 5, 2, 1e-3), (300, 3, 12, 7, 1e-1), (60, 2, 30, 3, 1e-2), (500, 1, 1, 2, 1e-4)],
)
def test_same_optimum(tmp_path, rows, layers, hidden, classes, penalty):
    x, y, _ = classed(rows, layers, hidden, classes)
    compare(x, y, classes, tmp_path, penalty)


@pytest.mark.parametrize("classes", [2, 4])
def test_same_optimum_when_the_covariance_spans_six_decades(tmp_path, classes):
    x = ill(800, 24, decades=6)
    rng = np.random.default_rng(1)
    z = np.linalg.svd(x[:, 0] - x[:, 0].mean(0), full_matrices=False)[0] * np.sqrt(800)
    y = (z @ rng.normal(size=(24, classes)) + rng.gumbel(size=(800, classes))).argmax(1)
    solution = compare(x, y, classes, tmp_path, penalty=1e-4)
    assert int(solution.final.iterations.max()) < 100


def test_separable_classes_with_a_small_penalty(tmp_path):
    x, _, _ = classed(300, 1, 6, 3)
    x[:, 0, :3] += 6 * np.eye(3, dtype=np.float32)[np.arange(300) % 3]
    compare(x, np.arange(300) % 3, 3, tmp_path, penalty=1e-5, tolerance=1e-6, max_iterations=600)


def test_a_feature_that_does_not_vary_gets_no_weight(tmp_path):
    x, y, _ = classed()
    x[:, :, 3] = 0.1
    solution = compare(x, y, 3, tmp_path, penalty=1e-2)
    assert float(solution.coef[..., 3].abs().max()) == 0
    assert solution.scale[:, 3].tolist() == [1, 1]


def test_rare_classes(tmp_path):
    x, y, _ = classed(rows=2000, classes=4, bias=2.0, strength=2)
    assert 5 < np.bincount(y)[3] < 40
    compare(x, y, 4, tmp_path, penalty=1e-3)


def test_offsets_a_thousand_times_the_spread_cost_nothing(tmp_path):
    x, y, _ = classed(layers=1)
    compare(x + np.float32(1000), y, 3, tmp_path, penalty=1e-3)


def test_float64_products_when_asked(tmp_path):
    x, y, _ = classed(layers=1)
    data, rows = usual(x.astype(np.float64), y), None
    flags = {"precision": "64-true"}
    probe = fit_classes(data, tmp_path, [1e-2], 3, tolerance=1e-15, trainer_settings=flags)
    rows = train_part(data, y)
    _, objective, probability = sklearn_fit(x[rows, 0], y[rows], 1e-2)
    assert float(probe.solution.final.objective[0, 0]) == pytest.approx(objective, rel=1e-12)
    ours = ClassProbe.of(probe.solution, data, {}, {}).predict_proba(x[rows, 0])
    assert np.abs(ours - probability).max() < 1e-6


def test_penalty_and_layer_are_those_of_scikit_learns_folds(tmp_path):
    x, y, _ = classed(rows=240, layers=2, hidden=20, strength=2)
    grid = [1e-3, 1e-2, 1e-1, 1.0]
    data = usual(x, y, np.arange(240) // 2)
    solution = fit_classes(data, tmp_path, grid, 3).solution
    for layer in range(2):
        for a, penalty in enumerate(grid):
            for fold in range(4):
                train = np.flatnonzero((data.fold >= 0) & (data.fold != fold))
                held = np.flatnonzero(data.fold == fold)
                pipeline, _, _ = sklearn_fit(x[train, layer], y[train], penalty)
                predicted = pipeline.predict_proba(x[held, layer].astype(np.float64))
                loss = log_loss(y[held], predicted, labels=range(3))
                assert float(solution.cv_loss[layer, fold, a, 0]) == pytest.approx(loss, rel=1e-3)
                right = (predicted.argmax(1) == y[held]).mean()
                assert float(solution.cv_accuracy[layer, fold, a, 0]) == pytest.approx(right)
    means = solution.cv_loss[..., 0].mean(1)
    assert solution.penalty_index[:, 0].tolist() == means.argmin(1).tolist()
    assert solution.layer_index.tolist() == [0]


def test_fewer_folds_can_be_held_out(tmp_path):
    x, y, _ = classed()
    whole = fit_classes(usual(x, y), tmp_path, [1e-2, 1e-1], 3).solution
    one = fit_classes(usual(x, y), tmp_path, [1e-2, 1e-1], 3, held_out=1).solution
    assert one.cv_loss.shape == (2, 1, 2, 1)
    assert one.cv_loss[:, 0].numpy() == pytest.approx(whole.cv_loss[:, 0].numpy(), rel=1e-5)


def test_rows_without_a_label_are_left_out(tmp_path):
    x, y, _ = classed()
    some = y.astype(float)
    some[::3] = np.nan
    data = usual(x, some)
    solution = fit_classes(data, tmp_path, [1e-2], 3).solution
    rows = train_part(data, some)
    _, objective, _ = sklearn_fit(x[rows, 0], y[rows], 1e-2)
    assert float(solution.final.objective[0, 0]) == pytest.approx(objective, rel=1e-6)
    assert solution.rows == len(rows)


def test_a_class_that_training_lacks_is_named(tmp_path):
    x, y, _ = classed()
    with pytest.raises(ProbeError, match="No training row has the class extra"):
        fit_classes(usual(x, y), tmp_path, [1e-2], ["a", "b", "c", "extra"])


@pytest.mark.parametrize("classes", [2, 4])
def test_a_class_that_only_one_fold_has_counts_in_the_scores_of_no_fold(tmp_path, classes):
    x, y, _ = classed(classes=classes - 1 if classes > 2 else 2)
    data = usual(x, y)
    data.setup()
    if classes == 2:
        y[data.fold != 2] = 0
    else:
        y[np.flatnonzero(data.fold == 2)[:9]] = 3
    rare = int((y[data.fold == 2] == classes - 1).sum())
    data = usual(x, y)
    solution = fit_classes(data, tmp_path, [1e-2, 1.0], classes).solution
    assert solution.cv_left_out[:, 0].tolist() == [0, 0, rare, 0]
    assert bool(solution.cv_loss.isfinite().all())
    assert float(solution.cv_loss.max()) < 10
    rows = train_part(data, y)
    _, objective, _ = sklearn_fit(x[rows, 0], y[rows], float(solution.penalties[solution.penalty_index[0, 0]]))
    assert float(solution.final.objective[0, 0]) == pytest.approx(objective, rel=1e-4)


@pytest.mark.parametrize("label", [0.5, -1, 3])
def test_labels_that_are_no_code_are_refused(tmp_path, label):
    x, y, _ = classed()
    y = y.astype(float)
    y[17] = label
    with pytest.raises(ProbeError, match=rf"Row 17 has the label {label}; labels are codes from 0 to 2"):
        fit_classes(usual(x, y, test_fraction=0.0), tmp_path, [1e-2], 3)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"classes": ["a"]}, "two or more"),
        ({"classes": ["a", "b", "a"]}, "distinct"),
        ({"penalties": [0.0]}, "positive"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"held_out": 5}, r"folds \(4\), found 5"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, settings, reason):
    x, y, _ = classed()
    with pytest.raises(ProbeError, match=reason):
        fit_classes(usual(x, y), tmp_path, **({"penalties": [1e-2], "classes": ["a", "b", "c"]} | settings))


def test_a_choice_needs_folds(tmp_path):
    x, y, _ = classed()
    with pytest.raises(ProbeError, match="leave a choice"):
        fit_classes(usual(x, y, folds=1), tmp_path, [1e-2], 3)
    alone = fit_classes(usual(x[:, :1], y, folds=1), tmp_path, [1e-2], 3).solution
    assert alone.cv_loss.shape == (1, 0, 1, 1)
    assert alone.layer_index.tolist() == [0]
