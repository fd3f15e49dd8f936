"""Scores of many predictions on all resamples at once: the numbers of scikit-learn and scipy, row by row."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from lit_experiments.experiments.introspection.scoring import Scorer
from lit_experiments.probes.permutations import Permutations
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.max_t import Family
from lit_experiments.statistics.permutation import permutation_p

ROWS, COLUMNS = 40, 3


def case(kind: str) -> tuple[Scorer, np.ndarray]:
    """A scorer and predictions [row, 3, C], the first good and the last no better than chance; some scores tie."""
    rng = np.random.default_rng(1)
    boot = GroupBootstrap([f"q{i:02d}" for i in range(ROWS)], resamples=60, level=0.9, seed=0)
    classes = {"r2": 1, "auroc": 2, "accuracy": 4}[kind]
    if kind == "r2":
        true = 3 + rng.normal(size=ROWS)
        mixed = [true + 0.3 * rng.normal(size=ROWS), 0.5 * true + rng.normal(size=ROWS), 3 + rng.normal(size=ROWS)]
        return Scorer(kind, true, boot), np.stack(mixed, 1)[..., None]
    true = rng.integers(0, classes, ROWS).astype(float)
    helped = np.stack([w * np.eye(classes)[true.astype(int)] for w in (3, 1, 0)], 1)
    return Scorer(kind, true, boot), np.round(helped + rng.normal(size=(ROWS, COLUMNS, classes)), 1)


def peer(kind: str, true: np.ndarray, predicted: np.ndarray) -> float:
    if kind == "r2":
        return float(r2_score(true, predicted[:, 0]))
    if kind == "auroc":
        return float(roc_auc_score(true, predicted[:, 1] - predicted[:, 0]))
    return float(accuracy_score(true, predicted.argmax(1)))


@pytest.mark.parametrize("kind", ["r2", "auroc", "accuracy"])
def test_values_and_resamples_are_those_of_repeated_rows(kind: str) -> None:
    scorer, predicted = case(kind)
    value, draws = scorer.value(predicted), scorer.resampled(predicted)
    assert draws.shape == (60, COLUMNS)
    for m in range(COLUMNS):
        assert value[m] == pytest.approx(peer(kind, scorer.true, predicted[:, m]))
    for b in (0, 7, 59):
        rows = np.repeat(np.arange(ROWS), scorer.boot.resampled[b].astype(int))
        assert len(rows) == ROWS
        for m in range(COLUMNS):
            assert draws[b, m] == pytest.approx(peer(kind, scorer.true[rows], predicted[rows, m]))


@pytest.mark.parametrize("kind", ["r2", "auroc", "accuracy"])
def test_permutations_are_scores_of_permuted_targets(kind: str) -> None:
    scorer, predicted = case(kind)
    moved = Permutations.of(np.arange(ROWS), 50, 3)
    null = scorer.null(predicted, moved)
    permuted = scorer.true[np.concatenate(list(moved.blocks()))]
    assert len({order.tobytes() for order in permuted}) == 50
    for n in (0, 31):
        for m in range(COLUMNS):
            assert null[n, m] == pytest.approx(peer(kind, permuted[n], predicted[:, m]))
    p = permutation_p(scorer.value(predicted), scorer.null(predicted, Permutations.of(np.arange(ROWS), 999, 0)))
    assert p[0] == pytest.approx(0.001)
    assert p[2] > 0.05


def test_gains_are_paired() -> None:
    scorer, predicted = case("r2")
    shifted = predicted + 0.001
    gain = scorer.gains(shifted, predicted)[0]
    assert gain.high - gain.low < 0.01 < scorer.estimates(predicted)[0].high - scorer.estimates(predicted)[0].low
    assert gain.value == pytest.approx(scorer.value(shifted)[0] - scorer.value(predicted)[0])


def test_bounds_are_exceeded_by_chance_as_often_as_they_say() -> None:
    """Of 400 curves of 5 layers without signal, one in twenty has a layer above its bound."""
    rng, above = np.random.default_rng(0), 0
    boot = GroupBootstrap(np.arange(50), resamples=1, level=0.9, seed=0)
    for seed in range(400):
        predicted = rng.normal(size=(50, 5, 2))
        scorer = Scorer("auroc", (rng.random(50) < 0.5).astype(float), boot)
        null = scorer.null(predicted, Permutations.of(np.arange(50), 199, seed))
        above += bool((scorer.value(predicted) > Family(scorer.value(predicted), null).bounds(0.05)).any())
    assert 8 <= above <= 34


def test_undefined_scores_are_no_number() -> None:
    boot = GroupBootstrap(np.arange(6), resamples=20, level=0.9, seed=0)
    only = Scorer("auroc", np.ones(6), boot)
    assert np.isnan(only.value(np.zeros((6, 1, 2)))).all()
    assert np.isnan(only.estimates(np.zeros((6, 1, 2)))[0].low)
