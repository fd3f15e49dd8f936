"""Coefficients and cross-validation scores against scikit-learn's StandardScaler, Ridge and GridSearchCV."""

import numpy as np
import pytest
import torch
from probe_cases import PENALTIES, ill_conditioned, module, planted
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.solve import coefficients, solve, standardise


def moments_of(data):
    data.setup()
    moments = Moments.zeros(data.folds, len(data.layers), data.hidden, len(data.targets), device=torch.device("cpu"))
    for block in data.blocks():
        moments.add(block)
    return moments


def sklearn_coefficients(x, y, penalty):
    return make_pipeline(StandardScaler(), Ridge(alpha=penalty)).fit(x.astype(np.float64), y)[-1]


def worst(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def all_coefficients(moments, layer=0):
    """One by one, as a few penalties are solved; checked against all at once, as many are."""
    fit = standardise(moments, layer, list(range(len(moments.count))))
    few = coefficients(fit, torch.tensor(PENALTIES, dtype=torch.float64))
    many = coefficients(fit, torch.tensor(PENALTIES + [1e5] * 20, dtype=torch.float64))[: len(PENALTIES)]
    assert worst(many.numpy(), few.numpy()) < 1e-6
    return few.numpy(), fit


def test_duplicated_features_and_a_tiny_penalty_share_the_weight():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(300, 40))
    y = half @ rng.normal(size=(40, 1))
    moments = moments_of(module(np.concatenate([half, half], 1), y, test_fraction=0))
    fit = standardise(moments, 0, [0, 1, 2, 3])
    ours = coefficients(fit, torch.tensor([1e-14], dtype=torch.float64)).numpy()[0]
    assert worst(np.tile(half.std(0), 2) * np.tile(np.linalg.lstsq(half, y)[0][:, 0], 2) / 2, ours[0]) < 1e-6


@pytest.mark.parametrize("folds", [1, 3])
def test_plain_inputs(folds):
    x, y, _ = planted()
    moments = moments_of(module(x, y, test_fraction=0, folds=folds))
    for layer in range(3):
        ours, fit = all_coefficients(moments, layer)
        for i, penalty in enumerate(PENALTIES):
            theirs = sklearn_coefficients(x[:, layer], y[:, 0], penalty)
            assert worst(ours[i], theirs.coef_) < 1e-10
            assert fit.y_mean.numpy() == pytest.approx(theirs.intercept_, rel=1e-12)


def test_repetitions_count_as_repeated_rows_also_when_some_are_absent():
    x, y, _ = planted(rows=150, repetitions=3)
    y[::4, 2] = np.nan
    y[5] = np.nan
    row, repetition = np.nonzero(~np.isnan(y).any(-1))
    ours, _ = all_coefficients(moments_of(module(x, y, test_fraction=0)), 1)
    for i, penalty in enumerate(PENALTIES):
        theirs = sklearn_coefficients(x[row, 1], y[row, repetition], penalty)
        assert worst(ours[i], theirs.coef_) < 1e-10


def test_ill_conditioned_and_constant_inputs():
    x = ill_conditioned()
    rng = np.random.default_rng(1)
    standard = np.delete(x, 7, 1).astype(np.float64)
    standard = (standard - standard.mean(0)) / standard.std(0)
    assert np.linalg.cond(standard.T @ standard) > 1e6
    y = standard @ rng.normal(size=(19, 2)) + 1000 + rng.normal(size=(600, 2))
    ours, fit = all_coefficients(moments_of(module(x, y, test_fraction=0)))
    for i, penalty in enumerate(PENALTIES):
        assert worst(ours[i], sklearn_coefficients(x, y, penalty).coef_) < 1e-6
    assert fit.scale[7] == 1.0
    assert (ours[:, :, 7] == 0).all()


def test_scales_are_those_of_standard_scaler_down_to_what_counts_as_constant():
    jitter = np.random.default_rng(0).normal(size=(500, 6))
    x = np.array([0.1, 1e3, 1e3, 1e3, -1e-9, 0.0]) + np.array([0, 1e-12, 1e-9, 1.0, 1e-12, 1e-200]) * jitter
    scaler = StandardScaler().fit(x)
    assert (scaler.scale_ == 1).sum() == 3
    fit = standardise(moments_of(module(x, jitter[:, :1], test_fraction=0)), 0, [0, 1, 2, 3])
    assert fit.scale.numpy() == pytest.approx(scaler.scale_, rel=1e-3)
    assert ((fit.scale == 1).numpy() == (scaler.scale_ == 1)).all()


def test_a_held_out_outlier_costs_no_digits_in_the_training_folds():
    x, y, _ = planted(rows=200, layers=1, signal_layer=0)
    data = module(x, y, test_fraction=0, folds=2)
    data.setup()
    x[np.flatnonzero(data.fold == 1)[0]] = 1e9
    moments = moments_of(module(x, y, test_fraction=0, folds=2))
    train = data.fold == 0
    fit = standardise(moments, 0, [0])
    ours = coefficients(fit, torch.tensor([1.0], dtype=torch.float64)).numpy()[0]
    assert worst(ours, sklearn_coefficients(x[train, 0], y[train, 0], 1.0).coef_) < 1e-6


def test_cross_validation_scores_and_choices_equal_grid_search():
    x, y, _ = planted(rows=300, noise=4.0)
    data = module(x, y, np.arange(300) // 3, folds=5)
    solution = solve(moments_of(data), PENALTIES)
    train = data.fold >= 0
    folds = PredefinedSplit(data.fold[train])
    for layer in range(3):
        for target in range(2):
            search = GridSearchCV(
                make_pipeline(StandardScaler(), Ridge()),
                {"ridge__alpha": PENALTIES},
                cv=folds,
                scoring="neg_mean_squared_error",
            ).fit(x[train, layer].astype(np.float64), y[train, 0, target])
            scores = [search.cv_results_[f"split{f}_test_score"] for f in range(5)]
            assert -solution.cv_mse[layer, :, :, target].numpy() == pytest.approx(np.array(scores), rel=1e-9)
            index = int(solution.penalty_index[layer, target])
            assert search.best_params_["ridge__alpha"] == solution.penalties[index]
            assert worst(solution.coef[layer, target].numpy(), search.best_estimator_[-1].coef_) < 1e-9


def test_planted_weights_and_their_layer_are_found():
    x, y, weights = planted(rows=4000, noise=0.1)
    solution = solve(moments_of(module(x, y)), PENALTIES)
    assert solution.layer_index.tolist() == [1, 1]
    raw = (solution.coef / solution.scale[:, None, :])[1].numpy()
    assert worst(raw, weights.T) < 0.01


def test_moments_merge_to_those_of_all_rows_whatever_their_provisional_means():
    x, y, _ = planted(rows=300, repetitions=2)
    x[:100] += 50
    data = module(x, y, test_fraction=0, folds=3, block_bytes=100 * 3 * 12 * 4)
    whole = moments_of(data)
    parts = [Moments.zeros(3, 3, 12, 2, device=torch.device("cpu")) for _ in range(4)]
    for index in range(3):
        parts[index].add(data.block(index))
    merged = parts[3].merge(parts[2]).merge(parts[3]).merge(parts[1]).merge(parts[0])
    assert not torch.allclose(merged.shift, whole.shift)
    for layer in range(3):
        assert worst(all_coefficients(merged, layer)[0], all_coefficients(whole, layer)[0]) < 1e-10
    assert solve(merged, PENALTIES).cv_mse.numpy() == pytest.approx(solve(whole, PENALTIES).cv_mse.numpy(), rel=1e-10)


def test_wide_inputs_use_every_panel_of_the_gram():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 401)).astype(np.float32)
    y = rng.normal(size=500)
    ours, _ = all_coefficients(moments_of(module(x, y, test_fraction=0, block_bytes=200_000)))
    assert worst(ours[1], sklearn_coefficients(x, y[:, None], PENALTIES[1]).coef_) < 1e-9


@pytest.mark.parametrize("fraction", [0, 0.5])
@pytest.mark.parametrize(("where", "what"), [("x", np.nan), ("x", np.inf), ("y", np.inf), ("y", np.nan)])
def test_a_non_finite_value_is_an_error_that_names_its_row_in_either_part(where, what, fraction):
    x, y, _ = planted(rows=40)
    (x[13] if where == "x" else y[13, 0])[1] = what
    with pytest.raises(ProbeError, match=r"Row 13 .*non-finite"):
        moments_of(module(x, y, test_fraction=fraction))


def test_a_choice_without_folds_and_senseless_penalties_are_refused():
    x, y, _ = planted()
    moments = moments_of(module(x, y, folds=1))
    with pytest.raises(ProbeError, match="cross-validation"):
        solve(moments, [1.0])
    for penalties in ([], [0.0], [-1.0], [float("nan")]):
        with pytest.raises(ProbeError, match="positive"):
            solve(moments, penalties)
    assert solve(moments_of(module(x[:, :1], y, folds=1)), [1.0]).cv_mse.shape == (1, 0, 1, 2)


def test_moments_that_cannot_fit_are_refused_before_they_are_made():
    with pytest.raises(ProbeError, match="fewer layers"):
        Moments.zeros(5, 200, 50_000, 10, device=torch.device("cpu"))
