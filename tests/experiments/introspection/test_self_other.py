"""Self against other: transfer and alikeness have known answers on planted states."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.self_other.alikeness import alikeness
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.statistics import GroupBootstrap
from tests.experiments.introspection.planted import noise, unit, write_store

QUESTIONS = 240
SELF, OTHER, MCQ = "self_confidence", "other_confidence", "mcq"


def analyze(run: Path, *options: str) -> int:
    argv = ["analyze", "--exp", "introspection_self_other", "--run", str(run)]
    return main([*argv, "--bootstraps", "200", "--permutations", "500", *options])


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_self_other" / "result.json").read_text())
    return content


def scores(run: Path, layer: int, trained: str, evaluated: str) -> dict[str, Any]:
    every = result(run)["transfer"]["layers"][layer]
    (matching,) = [s for s in every if (s["trained"], s["evaluated"]) == (trained, evaluated)]
    return dict(matching)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layer 0: the same direction in both passes. Layer 1: one direction each, where the other pass holds as much that
    has to do with no confidence. Layer 2: nothing in either.

    The states of the mcq pass are those of the self pass, moved and made longer.
    """
    run = tmp_path_factory.mktemp("planted")
    confidence = {kind: np.random.default_rng(at).uniform(5, 95, QUESTIONS) for at, kind in enumerate((SELF, OTHER))}
    states = {kind: noise(QUESTIONS, 10 + at, 0.3) for at, kind in enumerate((SELF, OTHER))}
    for at, kind in enumerate((SELF, OTHER)):
        states[kind][:, 0] += np.outer((confidence[kind] - 50) / 10, unit(1))
        states[kind][:, 1] += np.outer((confidence[kind] - 50) / 10, np.eye(24)[at])
        unrelated = np.random.default_rng(20 + at).uniform(-4.5, 4.5, QUESTIONS)
        states[kind][:, 1] += np.outer(unrelated, np.eye(24)[1 - at])
    states[MCQ] = 2 * states[SELF] + 5 * unit(7)
    write_store(run, states, confidence, embedded=True)
    assert analyze(run) == EXIT_DONE
    return run


def test_every_output_is_there_and_the_first_line_says_what_it_is(planted: Path) -> None:
    out = planted / "introspection_self_other"
    assert {"config.yaml", "result.json", "RESULTS.md", "report.html"} <= {p.name for p in out.iterdir()}
    assert {"likeness.png", "transfer_layers.png"} <= {p.name for p in (out / "figures").iterdir()}
    assert "demonstration" in (out / "RESULTS.md").read_text().splitlines()[2]


@pytest.mark.parametrize(("trained", "evaluated"), [(SELF, OTHER), (OTHER, SELF)])
def test_a_probe_carries_over_exactly_where_the_direction_is_shared(
    planted: Path, trained: str, evaluated: str
) -> None:
    shared, apart = (scores(planted, layer, trained, evaluated) for layer in (0, 1))
    assert shared["r2"]["low"] > 0.95
    assert shared["spearman"]["low"] > 0.95
    assert abs(shared["gap_r2"]["value"]) < 0.03
    assert shared["p_corrected"] == pytest.approx(1 / 501)
    assert apart["spearman"]["low"] < 0 < apart["spearman"]["high"]
    assert apart["gap_spearman"]["high"] < -0.5
    assert apart["p_corrected"] > 0.05
    assert scores(planted, 1, evaluated, evaluated)["r2"]["low"] > 0.9


@pytest.mark.parametrize("trained", [SELF, OTHER])
@pytest.mark.parametrize("evaluated", [SELF, OTHER])
def test_no_signal_is_no_score(planted: Path, trained: str, evaluated: str) -> None:
    transfer = scores(planted, 2, trained, evaluated)
    assert transfer["spearman"]["low"] < 0 < transfer["spearman"]["high"]
    assert transfer["r2"]["low"] < 0
    assert transfer["r2"]["high"] < 0.1
    assert transfer["r2"]["n"] == 72


def test_states_of_passes_are_compared_pair_by_pair(planted: Path) -> None:
    pairs = {tuple(pair["passes"]): pair["layers"] for pair in result(planted)["pairs"]}
    assert set(pairs) == {(SELF, OTHER), (SELF, MCQ), (OTHER, MCQ)}
    for layer in pairs[SELF, MCQ]:
        assert layer["cka"] == pytest.approx(1, abs=1e-3)
        assert layer["cosine_centered"]["value"] == pytest.approx(1, abs=1e-3)
        assert max(layer["angles"]) < 1
        assert abs(layer["cosine_centered_shuffled"]) < 0.1
        assert layer["cka_shuffled"] < 0.3
    nothing = pairs[SELF, OTHER][2]
    assert nothing["cosine_centered"]["low"] < 0 < nothing["cosine_centered"]["high"]
    assert abs(nothing["cka"] - nothing["cka_shuffled"]) < 0.05


def test_results_are_shown_again(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze(planted) == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out


def test_a_layer_whose_states_are_all_the_same_has_no_value(tmp_path: Path) -> None:
    confidence = {kind: np.random.default_rng(at).uniform(5, 95, 60) for at, kind in enumerate((SELF, OTHER))}
    states = {kind: noise(60, at) for at, kind in enumerate((SELF, OTHER))}
    for kind in states:
        states[kind][:, 0] = unit(5)
    write_store(tmp_path, states, confidence)
    assert analyze(tmp_path) == EXIT_DONE
    for every in result(tmp_path)["transfer"]["layers"][0]:
        assert every["r2"]["value"] is every["spearman"]["value"] is every["p_corrected"] is None
    layer = result(tmp_path)["pairs"][0]["layers"][0]
    assert layer["cosine"]["value"] == pytest.approx(1)
    assert layer["cka"] is layer["cosine_centered"]["value"] is layer["angle_within"] is None


@pytest.mark.parametrize(
    ("confidence", "reason"),
    [
        ({SELF: np.full(60, 50.0), OTHER: np.arange(60.0)}, "self_confidence hardly varies over the 42 training"),
        ({SELF: np.arange(12.0), OTHER: np.arange(12.0)}, "12 questions in both passes give 8 to train on and 4"),
        ({SELF: np.arange(60.0)}, "the store holds no other_confidence pass"),
    ],
)
def test_too_little_is_said_not_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], confidence: dict[str, np.ndarray], reason: str
) -> None:
    states = {kind: noise(len(values), at) for at, (kind, values) in enumerate(confidence.items())}
    write_store(tmp_path, states, confidence)
    assert analyze(tmp_path) == EXIT_DONE
    assert reason in capsys.readouterr().out
    assert result(tmp_path)["transfer"] is None
    assert reason in (tmp_path / "introspection_self_other" / "RESULTS.md").read_text()


def test_a_store_without_confidence_passes_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path, {MCQ: noise(30, 1)}, {})
    assert analyze(tmp_path) == EXIT_USER
    assert "holds no row of self_confidence or other_confidence" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(30, 8), (12, 40)])
def test_the_ridge_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y = 3 + rng.normal(size=shape) * rng.uniform(0.1, 9, shape[1]), rng.normal(size=shape[0])
    x[:, 1] = 0.7
    for penalty in (0.1, 10.0, 1e4):
        fit = choose_ridge(x, y, np.zeros(len(y), np.int64), [penalty])
        expected = make_pipeline(StandardScaler(), SklearnRidge(fit.penalty)).fit(x, y)
        np.testing.assert_allclose(fit.predict(x), expected.predict(x), rtol=1e-8)
        assert fit.weights[1] == 0


def test_the_penalty_is_the_best_over_folds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 40))
    fold = np.arange(60) % 5
    assert choose_ridge(x, x[:, 0], fold, [0.01, 1e5]).penalty == 0.01
    assert choose_ridge(x, rng.normal(size=60), fold, [0.01, 1e5]).penalty == 1e5


def test_cosine_and_cka_of_a_rotated_copy() -> None:
    x = np.random.default_rng(0).normal(size=(50, 6))
    turn = np.roll(np.eye(6), 3, axis=0)
    boot = GroupBootstrap(np.arange(50), resamples=100, level=0.95, seed=0)
    likeness = alikeness(x, x @ turn, boot, 3, 20, 0)
    assert likeness.cka == pytest.approx(1)
    assert likeness.cosine.low < 0 < likeness.cosine.high
    assert likeness.cka_shuffled < 0.4


def test_states_that_are_all_the_same_are_like_nothing_but_in_cosine() -> None:
    x = np.tile(np.random.default_rng(0).normal(size=6), (49, 1))
    assert np.any(x - x.mean(0))  # rounding, which must not count
    boot = GroupBootstrap(np.arange(49), resamples=100, level=0.95, seed=0)
    likeness = alikeness(x, x, boot, 3, 5, 0)
    assert likeness.cosine.value == pytest.approx(1)
    for nothing in (likeness.cka, likeness.cosine_centered.value, likeness.angle_within, *likeness.angles):
        assert np.isnan(nothing)
