"""R2 over repeated splits: every refit equals scikit-learn's on the same rows, and few groups give no interval."""

import numpy as np
import pytest
from probe_cases import PENALTIES, fit, module, planted
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.repeated_ridge import BINS, repeated_r2, split_r2
from lit_experiments.probes.splits import group_split
from lit_experiments.statistics.repeated_splits import random_splits


def test_every_refit_equals_scikit_learn(tmp_path):
    x, y, _ = planted(rows=200, repetitions=1, noise=2.0)
    groups = np.arange(200) // 2
    data = module(x, y, groups)
    solution = fit(data, tmp_path, PENALTIES).solution
    scores = split_r2(data, solution, 3, 7)
    bin_of = group_split(groups, 0.0, BINS, 7)
    for number, test_bins in enumerate(random_splits(BINS, data.test_fraction, 3, 7)):
        test = test_bins[bin_of]
        inside = np.flatnonzero(~test_bins)
        fold = np.full(BINS, -1)
        for place in range(data.folds):
            fold[inside[place :: data.folds]] = place
        for t in range(y.shape[-1]):
            states, true = x[:, int(solution.layer_index[t])].astype(float), y[:, 0, t]
            penalty = min(PENALTIES, key=lambda a: _loss(states, true, fold[bin_of], a))
            ridge = _ridge(penalty).fit(states[~test], true[~test])
            assert scores[number, t] == pytest.approx(r2_score(true[test], ridge.predict(states[test])), abs=1e-8)


def _ridge(penalty):
    return make_pipeline(StandardScaler(), Ridge(alpha=penalty))


def _loss(states, true, fold, penalty):
    losses = []
    for held in range(fold.max() + 1):
        train, test = (fold >= 0) & (fold != held), fold == held
        predicted = _ridge(penalty).fit(states[train], true[train]).predict(states[test])
        losses.append(mean_squared_error(true[test], predicted))
    return np.mean(losses)


def test_targets_that_lack_rows_are_refitted_to_those_that_have_them(tmp_path):
    x, y, _ = planted(rows=200, repetitions=1, noise=2.0)
    whole = split_of(x, y, tmp_path / "whole")
    y[::3, :, 1] = np.nan
    lacking = split_of(x, y, tmp_path / "lacking", missing=True)
    np.testing.assert_allclose(lacking[:, 0], whole[:, 0])
    assert (lacking[:, 1] != whole[:, 1]).all()
    assert np.isfinite(lacking).all()


def split_of(x, y, folder, missing=False):
    data = module(x, y, np.arange(200))
    if missing:
        data.allow_missing()
    return split_r2(data, fit(data, folder, PENALTIES).solution, 2, 0)


def test_the_interval_is_wider_than_chance_and_absent_for_few_groups(tmp_path):
    x, y, _ = planted(rows=200, repetitions=2, noise=2.0)
    data = module(x, y, np.arange(200) // 2)
    solution = fit(data, tmp_path, PENALTIES).solution
    estimates = repeated_r2(data, solution, 10, 0, 0.95)
    scores = split_r2(data, solution, 10, 0)
    for t, estimate in enumerate(estimates):
        assert estimate.low < estimate.value < estimate.high
        assert estimate.value == pytest.approx(scores[:, t].mean())
    few = module(x, y, np.arange(200) % 7)
    assert not any(
        estimate.has_interval
        for estimate in repeated_r2(few, fit(few, tmp_path / "f", PENALTIES).solution, 10, 0, 0.95)
    )
