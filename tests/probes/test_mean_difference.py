"""Mean-difference probes: directions by hand, calibration by scikit-learn and scipy, numbers by least squares."""

import numpy as np
import pytest
from logistic_cases import classed
from probe_cases import module, planted, trainer
from scipy.optimize import minimize
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.calibration import fit_scale
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.target_view import only


def fit(data, folder, classes, class_weight=None, memory_bytes=1 << 30):
    probe = MeanDifferenceProbe(classes, class_weight, memory_bytes)
    trainer(folder, max_epochs=-1).fit(probe, datamodule=data)
    return probe


def by_hand(x, y, weight=None):
    """Two classes: the direction, and scikit-learn's logistic regression on the projections."""
    x = x.astype(np.float64)
    weight = np.ones(len(y)) if weight is None else weight
    direction = np.average(x[y == 1], axis=0, weights=weight[y == 1])
    direction -= np.average(x[y == 0], axis=0, weights=weight[y == 0])
    pipe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000))
    pipe.fit(
        (x @ direction)[:, None], y, standardscaler__sample_weight=weight, logisticregression__sample_weight=weight
    )
    return direction, lambda rows: pipe.predict_proba((rows.astype(np.float64) @ direction)[:, None])


@pytest.mark.parametrize("hidden", [6, 90])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_two_classes(tmp_path, hidden, class_weight):
    x, y, _ = classed(rows=80, layers=2, hidden=hidden, classes=2, bias=0.7)
    copies = np.random.default_rng(0).integers(1, 3, 80).astype(float)
    data = module(x + 2, y, folds=3).weigh(copies)
    solution = fit(data, tmp_path, {"0": ["a", "b"]}, class_weight).solutions["0"]
    for layer in range(2):
        rows = data.fold != TEST
        factor = np.ones(80)
        if class_weight:
            factor = (rows.sum() / (2 * np.bincount(y[rows])))[y]
        weight = copies * factor
        direction, proba = by_hand(x[rows, layer] + 2, y[rows], weight[rows])
        mine = ClassProbe.of(solution, data, {}, {}, data.layers[layer])
        unit = (mine.weights[1] - mine.weights[0]) / mine.scale
        assert unit @ direction / np.linalg.norm(unit) / np.linalg.norm(direction) == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(mine.predict_proba(x[:, layer] + 2), proba(x[:, layer] + 2), atol=1e-5)
        for fold in range(3):
            inside, held = rows & (data.fold != fold), data.fold == fold
            _, proba = by_hand(x[inside, layer] + 2, y[inside], weight[inside])
            loss = -np.log(proba(x[held, layer] + 2)[np.arange(held.sum()), y[held]])
            mean = np.average(loss, weights=weight[held])
            assert float(solution.cv_loss[layer, fold, 0, 0]) == pytest.approx(mean, rel=1e-5)
    assert solution.layer_index.tolist() == [0]


def test_many_classes_have_one_direction_each_and_a_common_softmax(tmp_path):
    x, y, _ = classed(rows=150, layers=1, hidden=6, classes=3)
    data = module(x, y, folds=3)
    mine = ClassProbe.of(fit(data, tmp_path, {"0": ["a", "b", "c"]}).solutions["0"], data, {}, {})
    rows, wide = data.fold != TEST, x[:, 0].astype(np.float64)
    for k in range(3):
        direction = wide[rows & (y == k)].mean(0) - wide[rows & (y != k)].mean(0)
        cosine = mine.weights[k] @ direction / np.linalg.norm(mine.weights[k]) / np.linalg.norm(direction)
        assert cosine == pytest.approx(1, abs=1e-9)


def test_the_calibration_of_many_scores_is_the_minimum():
    rng = np.random.default_rng(0)
    scores, weight = rng.normal(size=(60, 3)) * [1, 5, 0.1] + 2, rng.uniform(0, 2, 60)
    codes = ((scores - 2) / [1, 5, 0.1] + rng.gumbel(size=(60, 3))).argmax(1)
    mean = weight @ scores / weight.sum()
    z = (scores - mean) / np.sqrt(weight @ (scores - mean) ** 2 / weight.sum())

    def objective(theta):
        logits = z * theta[:3] + theta[3:]
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return -weight @ logs[np.arange(60), codes] + theta[:3] @ theta[:3] / 2

    best = minimize(objective, np.zeros(6), tol=1e-12)
    scale = fit_scale(scores, codes, weight)
    theirs = z * best.x[:3] + best.x[3:]
    mine = scale.logits(scores)
    np.testing.assert_allclose(mine - mine[:, :1], theirs - theirs[:, :1], atol=1e-4)


def test_a_class_without_rows_gets_no_probability():
    scores = np.random.default_rng(0).normal(size=(20, 3))
    logits = fit_scale(scores, np.arange(20) % 2, np.ones(20)).logits(scores)
    assert (logits[:, 2] < logits[:, :2].min(1) - 5e3).all()
    alone = fit_scale(scores[:, :1], np.ones(20, int), np.ones(20)).logits(scores[:, :1])
    assert (alone[:, 1] > alone[:, 0] + 5e3).all()


@pytest.mark.parametrize("hidden", [12, 90])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_numbers_and_classes_with_missing_labels_in_one_run(tmp_path, hidden, memory_bytes):
    x, y, _ = planted(rows=90, hidden=hidden, layers=2, targets=2)
    kind = (y[:, 0, 0] > np.median(y[:, 0, 0])).astype(float)
    kind[::5], y[::7, 0, 1] = np.nan, np.nan
    columns = np.stack([y[:, 0, 0], kind, y[:, 0, 1]], 1)
    data = module(x, columns, targets=["first", "kind", "second"], shuffles=1).allow_missing()
    probe = fit(data, tmp_path, {"kind": ["low", "high"]}, memory_bytes=memory_bytes)
    numbers = only(data, "first", "second")
    assert numbers.targets == ["first", "second", "shuffle0:first", "shuffle0:second"]
    linear = LinearProbe.of(probe.numbers, numbers, "1")
    for name, values in (("first", y[:, 0, 0]), ("second", y[:, 0, 1])):
        rows = (data.fold != TEST) & ~np.isnan(values)
        pls = PLSRegression(1, scale=False).fit(x[rows, 1].astype(np.float64), values[rows])
        np.testing.assert_allclose(linear.predict(x[:, 1], name), pls.predict(x[:, 1]).ravel(), rtol=1e-6)
        at = numbers.targets.index(name)
        inside, held = rows & (data.fold != 2), rows & (data.fold == 2)
        pls = PLSRegression(1, scale=False).fit(x[inside, 1].astype(np.float64), values[inside])
        error = np.mean((values[held] - pls.predict(x[held, 1]).ravel()) ** 2)
        assert float(probe.numbers.cv_mse[1, 2, 0, at]) == pytest.approx(error, rel=1e-6)
    assert probe.numbers.layer_index[:2].tolist() == [1, 1]
    rows = (data.fold != TEST) & ~np.isnan(kind)
    _, proba = by_hand(x[rows, 1], kind[rows].astype(int))
    mine = ClassProbe.of(probe.solutions["kind"], only(data, "kind"), {}, {}, "1")
    np.testing.assert_allclose(mine.predict_proba(x[:, 1]), proba(x[:, 1]), atol=1e-5)
    assert probe.solutions["kind"].layer_index[0] == 1
