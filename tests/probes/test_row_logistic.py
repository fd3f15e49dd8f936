"""Logistic fits from the products of few rows: equal to scikit-learn's and to those by passes."""

import numpy as np
import pytest
import torch
from logistic_cases import SETTINGS, classed, fit_classes, sklearn_fit, train_part
from probe_cases import module, trainer

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.by_layer import classes_by_layer
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.row_logistic_probe import RowLogisticProbe, logistic_probe

TENSORS = ("mean", "scale", "coef", "intercept", "share", "cv_loss", "cv_accuracy", "cv_rows", "cv_left_out")


def fit_few(data, folder, penalties, classes, checkpoint=None, trainer_settings=None, **settings):
    """As `fit_classes`, from products."""
    probe = RowLogisticProbe([f"c{k}" for k in range(classes)], penalties, **(SETTINGS | settings))
    trainer(folder, **({"max_epochs": -1} | (trainer_settings or {}))).fit(probe, datamodule=data, ckpt_path=checkpoint)
    return probe


def few(classes=3, rows=60, hidden=300, **settings):
    x, y, _ = classed(rows=rows, layers=3, hidden=hidden, classes=classes, strength=8.0)
    x[:, :, 5] = 0.25
    return x, y.astype(float), module(x, y, **({"shuffles": 2} | settings))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_fit_of_fewer_rows_than_dims_equals_scikit_learns(tmp_path, classes):
    x, y, data = few(classes)
    probe = fit_few(data, tmp_path, [1e-2, 1.0], classes)
    solution = probe.solution
    train = train_part(data, y)
    for layer in range(3):
        penalty = float(solution.penalties[solution.penalty_index[layer, 0]])
        _, objective, probability = sklearn_fit(x[train, layer], y[train].astype(int), penalty)
        assert float(solution.final.objective[layer, 0]) == pytest.approx(objective, rel=1e-7)
        z = (x[train, layer] - solution.mean[layer].numpy()) / solution.scale[layer].numpy()
        logits = z @ solution.coef[layer, 0].numpy().T + solution.intercept[layer, 0].numpy()
        shown = np.exp(logits - logits.max(1, keepdims=True))
        np.testing.assert_allclose(shown / shown.sum(1, keepdims=True), probability, atol=1e-4)
    assert bool(solution.final.converged.all())
    assert bool(solution.chosen_from.converged.all())


@pytest.mark.parametrize(("classes", "weighted", "class_weight"), [(2, False, None), (4, True, "balanced")])
def test_it_is_what_passes_over_the_rows_find(tmp_path, classes, weighted, class_weight):
    x, y, _ = classed(rows=70, layers=2, hidden=200, classes=classes, bias=0.5)
    y = np.where(np.arange(70) % 9 == 4, np.nan, y)
    y[y == classes - 1] = np.where(np.arange(np.sum(y == classes - 1)) < 3, classes - 1, 0)  # some fold lacks it
    solutions = []
    for fitted in (fit_classes, fit_few):
        data = module(x, y, np.arange(70) // 2, shuffles=2).allow_missing()
        if weighted:
            data.weigh(1.0 + np.arange(70) % 3)
        limits = {"class_weight": class_weight, "trainer_settings": {"precision": "64-true"}}
        solutions.append(fitted(data, tmp_path / fitted.__name__, [1e-2, 1.0], classes, **limits).solution)
    by_passes, by_products = solutions
    for name in TENSORS:
        a, b = getattr(by_passes, name), getattr(by_products, name)
        # Weights are as near as the tolerance makes the losses, which are flat at the optimum.
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4, equal_nan=True, msg=name)
    torch.testing.assert_close(by_products.final.objective, by_passes.final.objective, rtol=1e-7, atol=0)
    assert torch.equal(by_products.penalty_index, by_passes.penalty_index)
    assert torch.equal(by_products.layer_index, by_passes.layer_index)
    assert by_products.rows == by_passes.rows


def test_one_layer_at_a_time_and_a_resumed_fit_are_equal_to_the_bit(tmp_path):
    _, _, data = few()
    whole = fit_few(data, tmp_path / "whole", [1e-2, 1.0], 3).solution
    split = fit_few(data, tmp_path / "split", [1e-2, 1.0], 3, memory_bytes=1).solution
    assert (whole.passes, split.passes) == (1, 3)
    stopped, folder = (
        RowLogisticProbe(["c0", "c1", "c2"], [1e-2, 1.0], **SETTINGS | {"memory_bytes": 1}),
        tmp_path / "s",
    )
    runner = trainer(folder, max_epochs=2)
    runner.fit(stopped, datamodule=data)
    runner.save_checkpoint(folder / "last.ckpt")
    with pytest.raises(ProbeError, match="not complete"):
        _ = stopped.solution
    resumed = fit_few(data, folder, [1e-2, 1.0], 3, checkpoint=folder / "last.ckpt", memory_bytes=1).solution
    for name in TENSORS:
        assert torch.equal(getattr(split, name), getattr(whole, name)), name
        assert torch.equal(getattr(resumed, name), getattr(whole, name)), name


def test_its_predictions_of_test_rows_tell_the_planted_classes(tmp_path):
    x, y, data = few(rows=200, hidden=900)
    x[:, 1, :90] += 2 * np.repeat(np.eye(3, dtype=np.float32)[y.astype(int)], 30, axis=1)
    solution = fit_few(module(x, y), tmp_path, [0.1, 1.0, 10.0], 3).solution
    assert solution.layer_index[0] == 1
    chosen = classes_by_layer(solution, module(x, y))[:, 1, 0].argmax(1)
    data.setup()
    assert (chosen == y[data.fold == TEST]).mean() > 0.95


def test_inputs_that_do_not_vary_give_the_class_shares(tmp_path):
    _, y, _ = classed(rows=40, layers=1, hidden=200)
    x = np.full((40, 1, 200), 0.5, np.float32)
    solution = fit_few(module(x, y.astype(float)), tmp_path, [1.0], 3).solution
    assert torch.equal(solution.coef, torch.zeros_like(solution.coef))
    torch.testing.assert_close(solution.intercept[0, 0].softmax(0), solution.share)


def test_products_are_taken_where_rows_are_far_fewer_than_dims():
    few_rows, many_rows = module(*classed(rows=40, hidden=200)[:2]), module(*classed(rows=400, hidden=200)[:2])
    for data, kind in ((few_rows, RowLogisticProbe), (many_rows, LogisticProbe)):
        assert type(logistic_probe(data, ["a", "b", "c"], [1.0], **SETTINGS)) is kind


@pytest.mark.parametrize("limits", [{"tolerance": 0.0}, {"tolerance": 1.0}, {"max_iterations": 0}])
def test_limits_that_no_fit_can_keep_are_refused(limits):
    with pytest.raises(ProbeError, match="tolerance must lie between 0 and 1"):
        RowLogisticProbe(["a", "b"], [1.0], **SETTINGS | limits)
