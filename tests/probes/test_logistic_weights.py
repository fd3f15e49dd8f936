"""Weights of rows and classes against scikit-learn's; fewer rows than hidden dims in little memory."""

import numpy as np
import pytest
import torch
from logistic_cases import classed, fit_classes
from probe_cases import module
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.probes.class_sums import Sample
from lit_experiments.probes.errors import ProbeError

EXACT = {"trainer_settings": {"precision": "64-true"}, "tolerance": 1e-13}


def sklearns(x, y, penalty, weight, class_weight=None):
    """Probabilities of x [row, hidden] under a fit to the weighted rows."""
    scaler = StandardScaler().fit(x, sample_weight=weight)
    table = np.bincount(y, minlength=2) if class_weight == "balanced" else None
    factor = np.ones(len(y)) if table is None else (len(y) / (len(table) * table))[y]
    if isinstance(class_weight, dict):
        factor = np.array([class_weight[f"c{k}"] for k in y])
    total = (weight * factor).sum()
    named = {int(k[1:]): w for k, w in class_weight.items()} if isinstance(class_weight, dict) else class_weight
    logistic = LogisticRegression(C=1 / (penalty * total), class_weight=named, tol=1e-13, max_iter=100_000)
    logistic.fit(scaler.transform(x), y, sample_weight=weight)
    return lambda rows: logistic.predict_proba(scaler.transform(rows))


@pytest.mark.parametrize("hidden", [6, 90])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced", "named"])
def test_weights_are_scikit_learns(tmp_path, hidden, classes, class_weight):
    x, y, _ = classed(rows=70, layers=1, hidden=hidden, classes=classes, bias=0.7, strength=1.0)
    weight = np.random.default_rng(0).uniform(0.2, 3, 70)
    weight = np.ones(70) if class_weight == "balanced" else weight  # scikit-learn's counts do not see weights
    named = {f"c{k}": 1.0 + k for k in range(classes)} if class_weight == "named" else class_weight
    data = module(x, y, folds=1).weigh(weight)
    probe = fit_classes(data, tmp_path, [0.01], classes, class_weight=named, **EXACT)
    train = data.fold != TEST
    wide = x[:, 0].astype(np.float64)
    theirs = sklearns(wide[train], y[train], 0.01, weight[train], named)(wide)
    mine = ClassProbe.of(probe.solution, data, {}, {}).predict_proba(wide)
    np.testing.assert_allclose(mine, theirs, atol=2e-6)
    share = np.bincount(y[train], weight[train]) / weight[train].sum()
    np.testing.assert_allclose(probe.solution.share, share, rtol=1e-9)


def test_held_out_losses_weigh_rows_as_the_loss_does(tmp_path):
    x, y, _ = classed(rows=90, layers=1, hidden=5, classes=2)
    weight = np.random.default_rng(0).integers(0, 3, 90).astype(float)
    data = module(x, y, folds=3).weigh(weight)
    solution = fit_classes(data, tmp_path, [0.01, 1.0], 2, **EXACT).solution
    wide = x[:, 0].astype(np.float64)
    for fold in range(3):
        inside, held = (data.fold != fold) & (data.fold != TEST), data.fold == fold
        p = sklearns(wide[inside], y[inside], 0.01, weight[inside])(wide[held])[np.arange(held.sum()), y[held]]
        mean = np.average(-np.log(p), weights=weight[held])
        assert float(solution.cv_loss[0, fold, 0, 0]) == pytest.approx(mean, rel=1e-5)


def test_the_sample_of_a_wide_model_is_bounded_by_memory():
    few = Sample.of(np.ones(350, bool), 32, 4096, 1 << 28)
    assert few.as_rows
    assert few.place.tolist() == list(range(350))
    many = Sample.of(np.ones(50_000, bool), 32, 4096, 1 << 28)
    assert many.as_rows
    assert (many.place.max() + 1) * 32 * 4096 * 4 < 1.1 * (1 << 28)
    narrow = Sample.of(np.ones(50_000, bool), 12, 64, 1 << 28)
    assert not narrow.as_rows


def test_the_basis_from_rows_or_products_leads_to_one_optimum(tmp_path):
    x, y, _ = classed(rows=300, layers=1, hidden=24, classes=3)

    def solved(memory_bytes):
        return fit_classes(module(x, y, folds=1), tmp_path, [1e-2], 3, memory_bytes=memory_bytes, **EXACT).solution

    products, rows = solved(1 << 26), solved(24 * 24 * 4)
    torch.testing.assert_close(rows.coef, products.coef, atol=1e-5, rtol=1e-5)
    assert bool(rows.final.converged.all())


def test_other_words_for_class_weights_are_refused(tmp_path):
    x, y, _ = classed(rows=60, layers=1, hidden=4, classes=2)
    for class_weight in ("equal", {"c0": 1.0}, {"c0": 1.0, "c1": -1.0}):
        with pytest.raises(ProbeError, match="class_weight must"):
            fit_classes(module(x, y, folds=1), tmp_path, [0.1], 2, class_weight=class_weight)
