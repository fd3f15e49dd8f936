"""Ridge from rows, for fewer rows than hidden dims, against scikit-learn and against the moments; several passes."""

import numpy as np
import pytest
import torch
from probe_cases import PENALTIES, fit, module, planted
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.row_ridge import RowTargets, choose_ridge, solve_rows
from lit_experiments.probes.solve import solve
from lit_experiments.probes.waves import MomentSums, Part, row_side, waves

WIDE = {"rows": 60, "hidden": 90, "layers": 3}


def wide(repetitions=1, **settings):
    x, y, _ = planted(**WIDE, repetitions=repetitions, noise=0.1)
    x[:, :, 5] = 2.0  # a dim that does not vary
    return x, y, module(x * 3 + 1, y, block_bytes=7 * 3 * 90 * 4, **settings)


def by_moments(data, penalties):
    data.setup()
    part = Part(list(range(len(data.targets))), len(data.targets), lambda block: block)
    sums = MomentSums([part], data, len(data.layers), torch.device("cpu"), True)
    for block in data.blocks():
        sums.add(block)
    return solve(sums.moments[0], penalties)


def weights(solution):
    return (solution.coef / solution.scale[:, None]).numpy()


@pytest.mark.parametrize("repetitions", [1, 3])
def test_rows_and_moments_give_the_same(tmp_path, repetitions):
    _, _, data = wide(repetitions)
    mine = fit(data, tmp_path).solution
    assert row_side(data)
    theirs = by_moments(wide(repetitions)[2], PENALTIES)
    np.testing.assert_allclose(mine.cv_mse, theirs.cv_mse, rtol=1e-6)
    np.testing.assert_allclose(weights(mine), weights(theirs), atol=1e-6 * np.abs(weights(theirs)).max())
    assert mine.penalty_index.tolist() == theirs.penalty_index.tolist()
    assert mine.layer_index.tolist() == [1, 1]
    assert mine.rows == theirs.rows


def test_rows_give_what_scikit_learn_does(tmp_path):
    x, y, data = wide()
    solution = fit(data, tmp_path).solution
    train = data.fold != TEST
    for layer in range(3):
        for target in range(2):
            search = GridSearchCV(
                make_pipeline(StandardScaler(), Ridge()),
                {"ridge__alpha": PENALTIES},
                cv=PredefinedSplit(data.fold[train]),
                scoring="neg_mean_squared_error",
            ).fit((x[train, layer] * 3 + 1).astype(np.float64), y[train, 0, target])
            theirs = [-search.cv_results_[f"split{f}_test_score"] for f in range(4)]
            np.testing.assert_allclose(solution.cv_mse[layer, :, :, target], theirs, rtol=1e-6)
            coef = search.best_estimator_[-1].coef_
            np.testing.assert_allclose(solution.coef[layer, target], coef, atol=1e-6 * np.abs(coef).max())


@pytest.mark.parametrize("hidden", [12, 90])
def test_weights_are_scikit_learns_sample_weights(tmp_path, hidden):
    x, y, _ = planted(rows=60, hidden=hidden, layers=1, signal_layer=0)
    rng = np.random.default_rng(1)
    weight = rng.uniform(0, 3, 60) * (rng.uniform(size=60) > 0.1)
    data = module(x, y, test_fraction=0.2).weigh(weight)
    solution = fit(data, tmp_path, [1.0]).solution
    train = data.fold != TEST
    fitted = make_pipeline(StandardScaler(), Ridge(1.0)).fit(
        x[train, 0].astype(np.float64),
        y[train, 0],
        standardscaler__sample_weight=weight[train],
        ridge__sample_weight=weight[train],
    )
    probe = LinearProbe.of(solution, data)
    for target in range(2):
        theirs = fitted.predict(x[:, 0].astype(np.float64))[:, target]
        np.testing.assert_allclose(probe.predict(x[:, 0], str(target)), theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("hidden", [12, 90])
def test_rows_that_lack_a_target_are_left_out_of_that_target_alone(tmp_path, hidden):
    x, y, _ = planted(rows=70, hidden=hidden, layers=2, targets=3)
    y[::3, 0, 1] = np.nan
    y[50:, 0, 2] = np.nan
    data = module(x, y, shuffles=1).allow_missing()
    solution = fit(data, tmp_path).solution
    predictions = LinearProbe.of(solution, data, layer="1")
    for target in range(3):
        has = ~np.isnan(y[:, 0, target])
        rows = has & (data.fold != TEST)
        penalty = PENALTIES[int(solution.penalty_index[1, target])]
        fitted = make_pipeline(StandardScaler(), Ridge(penalty)).fit(x[rows, 1].astype(float), y[rows, 0, target])
        theirs = fitted.predict(x[:, 1].astype(float))
        np.testing.assert_allclose(predictions.predict(x[:, 1], str(target)), theirs, rtol=1e-6, atol=1e-8)
        assert solution.target_rows[target] == solution.target_rows[3 + target] == rows.sum()


@pytest.mark.parametrize("hidden", [12, 90])
def test_several_passes_give_what_one_does(tmp_path, hidden):
    x, y, _ = planted(rows=70, hidden=hidden, targets=2)
    y[::3, 0, 1] = np.nan

    def data():
        return module(x, y).allow_missing()

    one = fit(data(), tmp_path).solution
    for memory_bytes in (1, 7_000, 40_000 if hidden == 90 else 20_000):
        probe = fit(data(), tmp_path, memory_bytes=memory_bytes, max_epochs=-1)
        assert len(probe.waves) > 1
        torch.testing.assert_close(probe.solution.coef, one.coef, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(probe.solution.cv_mse, one.cv_mse, rtol=1e-9, atol=0)


def test_waves_hold_every_part_and_layer_once():
    for parts in ([5], [5, 5], [5, 9, 1]):
        for memory_bytes in (1, 5, 10, 14, 15, 45, 1000):
            held = [(p, layer) for wave in waves(parts, 7, memory_bytes) for p in wave.parts for layer in wave.layers]
            assert sorted(held) == [(p, layer) for p in range(len(parts)) for layer in range(7)]


@pytest.mark.parametrize("hidden", [5, 80])
def test_one_ridge_of_one_target_chooses_as_scikit_learn_does(hidden):
    rng = np.random.default_rng(0)
    x, fold = rng.normal(size=(40, hidden)) * 4 + 2, np.arange(40) % 4 + 1
    y = x[:, 0] + rng.normal(size=40)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge()),
        {"ridge__alpha": PENALTIES},
        cv=PredefinedSplit(fold),
        scoring="neg_mean_squared_error",
    ).fit(x, y)
    ridge = choose_ridge(x, y, fold, PENALTIES)
    assert ridge.penalty == search.best_params_["ridge__alpha"]
    np.testing.assert_allclose(ridge.predict(x), search.predict(x), rtol=1e-8)


def test_rows_of_weight_zero_take_no_part():
    rng = np.random.default_rng(0)
    x, y, fold = rng.normal(size=(30, 50)), rng.normal(size=(30, 1, 1)), np.arange(30) % 3
    weight = (np.arange(30) < 20).astype(float)

    def solved(rows):
        values = torch.from_numpy(y[rows, 0])
        parts = (torch.from_numpy(weight[rows]), values, torch.zeros_like(values), torch.from_numpy(fold[rows]))
        return solve_rows(torch.from_numpy(x[rows]), RowTargets(*parts), torch.tensor([1.0]), [0, 1, 2])

    for mine, theirs in zip(solved(np.arange(30)), solved(np.arange(20)), strict=True):
        torch.testing.assert_close(mine, theirs)
