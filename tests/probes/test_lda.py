"""LDA against scikit-learn's: fewer rows than dims and more, weights, missing labels, several targets, the choice."""

import warnings

import numpy as np
import pytest
from logistic_cases import classed
from probe_cases import module, trainer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_evaluate import predict_classes
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.probes.class_result import class_report
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.target_view import label_counts, only


def fit(data, folder, classes, shrinkages, class_weight=None, memory_bytes=1 << 30):
    probe = DiscriminantProbe(classes, shrinkages, class_weight, memory_bytes)
    trainer(folder, max_epochs=-1).fit(probe, datamodule=data)
    return probe


def sklearns(x, y, shrinkage, classes):
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make_pipeline(StandardScaler(), lda).fit(x.astype(np.float64), y)
    if not shrinkage and len(y) < x.shape[1]:
        fitted.decision_function = least_norm(fitted[0].transform(x), y, fitted[0])
    assert fitted[-1].classes_.tolist() == list(range(classes))
    return fitted


def least_norm(z, y, scaler):
    """Decisions where the covariance is singular, which scikit-learn solves with its rounding: by pseudo-inverse."""
    means = np.stack([z[y == k].mean(0) for k in np.unique(y)])
    coef = means @ np.linalg.pinv(np.cov((z - means[y]).T, bias=True), rcond=1e-10, hermitian=True)
    offset = np.log(np.bincount(y) / len(y)) - (coef * means).sum(1) / 2
    return lambda rows: scaler.transform(rows) @ coef.T + offset


def same_decisions(probe, fitted, x):
    """Log-odds against the first class."""
    mine, theirs = probe.predict_log_proba(x), fitted.decision_function(x.astype(np.float64))
    if theirs.ndim == 1:
        theirs = np.stack([np.zeros_like(theirs), theirs], 1)
    mine, theirs = mine - mine[:, :1], theirs - theirs[:, :1]
    np.testing.assert_allclose(mine, theirs, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("hidden", [6, 90])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shrinkage", [0.0, 0.2, 1.0])
def test_decisions_are_scikit_learns(tmp_path, hidden, classes, shrinkage):
    x, y, _ = classed(rows=70, layers=2, hidden=hidden, classes=classes, strength=1.0)
    x = x * 2 + 3
    data = module(x, y, targets=["kind"])
    names = [f"c{k}" for k in range(classes)]
    solution = fit(data, tmp_path, {"kind": names}, [shrinkage]).solutions["kind"]
    train = data.fold != TEST
    for layer in range(2):
        probe = ClassProbe.of(solution, only(data, "kind"), {}, {}, data.layers[layer])
        same_decisions(probe, sklearns(x[train, layer], y[train], shrinkage, classes), x[:, layer])


@pytest.mark.parametrize("hidden", [6, 90])
def test_shrinkage_and_layer_are_chosen_by_held_out_log_loss(tmp_path, hidden):
    x, y, _ = classed(rows=120, layers=2, hidden=hidden, classes=3, strength=6.0)
    data = module(x, y, folds=3)
    grid = [0.1, 0.5, 0.9]
    solution = fit(data, tmp_path, {"0": ["a", "b", "c"]}, grid).solutions["0"]
    for layer in range(2):
        for fold in range(3):
            inside, held = (data.fold >= 0) & (data.fold != fold), data.fold == fold
            for i, shrinkage in enumerate(grid):
                fitted = sklearns(x[inside, layer], y[inside], shrinkage, 3)
                p = fitted.predict_proba(x[held, layer].astype(np.float64))[np.arange(held.sum()), y[held]]
                assert float(solution.cv_loss[layer, fold, i, 0]) == pytest.approx(-np.log(p).mean(), rel=1e-6)
    loss = solution.cv_loss.mean(1)[..., 0]
    assert solution.penalty_index[:, 0].tolist() == loss.argmin(1).tolist()
    assert solution.layer_index.tolist() == [0]
    assert solution.cv_left_out.abs().max() == 0
    report = class_report(solution, predict_classes(solution, only(data, "0"), 50, 0.95, 0), 5)
    assert report.test.accuracy.value > 0.4


@pytest.mark.parametrize("hidden", [6, 90])
def test_sample_weights_are_copies_of_rows(tmp_path, hidden):
    x, y, _ = classed(rows=60, layers=1, hidden=hidden, classes=2, strength=1.0)
    copies = np.random.default_rng(0).integers(0, 4, 60)
    data = module(x, y).weigh(copies)
    solution = fit(data, tmp_path, {"0": ["a", "b"]}, [0.3]).solutions["0"]
    train = np.repeat(np.arange(60), np.where(data.fold == TEST, 0, copies))
    same_decisions(ClassProbe.of(solution, data, {}, {}), sklearns(x[train, 0], y[train], 0.3, 2), x[:, 0])


@pytest.mark.parametrize("hidden", [6, 90])
def test_balanced_classes_are_scikit_learns_equal_priors(tmp_path, hidden):
    x, y, _ = classed(rows=90, layers=1, hidden=hidden, classes=2, strength=1.0, bias=1.5)
    data = module(x, y, shuffles=1)
    solution = fit(data, tmp_path, {"0": ["a", "b"]}, [0.3], "balanced").solutions["0"]
    train = data.fold != TEST
    share = np.bincount(y[train]) / train.sum()
    weight = (0.5 / share)[y[train]]
    scaler = StandardScaler().fit(x[train, 0].astype(np.float64), sample_weight=weight)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=[0.5, 0.5])
    lda.fit(scaler.transform(x[train, 0].astype(np.float64)), y[train])
    same_decisions(ClassProbe.of(solution, only(data, "0"), {}, {}), make_pipeline(scaler, lda), x[:, 0])


@pytest.mark.parametrize("hidden", [6, 90])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_targets_with_labels_of_their_own_in_one_run(tmp_path, hidden, memory_bytes):
    x, y, _ = classed(rows=100, layers=2, hidden=hidden, classes=3, strength=1.0)
    second = np.where(np.arange(100) % 4 == 0, np.nan, (y == 1) * 1.0)
    data = module(x, np.stack([y, second], 1), targets=["kind", "other"], shuffles=1).allow_missing()
    names = {"kind": ["a", "b", "c"], "other": ["no", "yes"]}
    probe = fit(data, tmp_path, names, [0.2, 0.4], memory_bytes=memory_bytes)
    assert len(probe.waves) == (1 if memory_bytes > 1 else 4)
    assert label_counts(data)["other"].missing == 25
    has = (data.fold != TEST) & ~np.isnan(second)
    for name, labels, rows in (("kind", y, data.fold != TEST), ("other", second, has)):
        solution = probe.solutions[name]
        shrinkage = float(solution.penalties[solution.penalty_index[1, 0]])
        mine = ClassProbe.of(solution, only(data, name), {}, {}, "1")
        same_decisions(mine, sklearns(x[rows, 1], labels[rows], shrinkage, len(names[name])), x[:, 1])
        assert solution.rows == rows.sum()
        assert solution.coef.shape[1] == 2


def test_a_class_that_a_fold_lacks_counts_in_no_score(tmp_path):
    x, y, _ = classed(rows=80, layers=1, hidden=5, classes=2)
    groups = np.arange(80)
    data = module(x, y, groups)
    data.setup()
    y = np.where(data.fold == 1, np.where(np.arange(80) % 2, 2, y), y)
    solution = fit(module(x, y, groups), tmp_path, {"0": ["a", "b", "c"]}, [0.1]).solutions["0"]
    assert solution.cv_left_out[:, 0].tolist() == [0, ((data.fold == 1) & (y == 2)).sum(), 0, 0]
    assert np.isfinite(solution.cv_loss).all()


def test_mistakes_are_named(tmp_path):
    x, y, _ = classed(rows=60, layers=1, hidden=4, classes=2)
    with pytest.raises(ProbeError, match="no training row has the class c"):
        fit(module(x, y), tmp_path, {"0": ["a", "b", "c"]}, [0.1])
    with pytest.raises(ProbeError, match="codes from 0 to 1"):
        fit(module(x, y + 1), tmp_path, {"0": ["a", "b"]}, [0.1])
    with pytest.raises(ProbeError, match="Shrinkages"):
        DiscriminantProbe({"0": ["a", "b"]}, [1.5])
    with pytest.raises(ProbeError, match="balanced"):
        fit(module(x, y), tmp_path, {"0": ["a", "b"]}, [0.1], "even")
