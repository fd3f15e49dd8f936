"""Directions of confidence: planted ones are found, absent ones are not, and nothing is made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.directions.separation import (
    Labelled,
    auroc_estimate,
    cohens_d,
    corrected_cosine,
    extremes,
    held_out_projections,
    shuffled_labels,
)
from lit_experiments.experiments.introspection.passes import NothingToCompare
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.calibration import auroc, aurocs
from tests.experiments.introspection.planted import LAYERS, noise, unit, write_store

QUESTIONS = 240
SELF, OTHER = "self_confidence", "other_confidence"


def analyze(run: Path, *options: str) -> int:
    argv = ["analyze", "--exp", "introspection_directions", "--run", str(run)]
    return main([*argv, "--bootstraps", "200", "--shuffles", "100", *options])


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_directions" / "result.json").read_text())
    return content


def confidence(seed: int, questions: int = QUESTIONS) -> np.ndarray:
    return np.random.default_rng(seed).uniform(5, 95, questions)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layer 0: nothing. Layer 1: self and other along unit(1). Layer 2: self along unit(1), other along unit(2)."""
    run = tmp_path_factory.mktemp("planted")
    one, two = confidence(1), confidence(2)
    x, z = noise(QUESTIONS, 3, 0.3), noise(QUESTIONS, 4, 0.3)
    for layer in (1, 2):
        x[:, layer] += np.outer((one - 50) / 10, unit(1))
    z[:, 1] += np.outer((two - 50) / 10, unit(1))
    z[:, 2] += np.outer((two - 50) / 10, unit(2))
    write_store(run, {SELF: x, OTHER: z}, {SELF: one, OTHER: two}, embedded=True)
    assert analyze(run) == EXIT_DONE
    return run


def test_every_output_is_there_and_the_first_line_says_what_it_is(planted: Path) -> None:
    out = planted / "introspection_directions"
    names = {"config.yaml", "result.json", "figures", "directions.safetensors", "RESULTS.md", "report.html"}
    assert names <= {p.name for p in out.iterdir()}
    assert "demonstration" in (out / "RESULTS.md").read_text().splitlines()[2]
    assert json.loads((out / "results.json").read_text())["summary"].startswith("The embedded model is a demonstration")


def test_a_planted_direction_is_found_with_its_sign_and_spread(planted: Path) -> None:
    saved = load_file(planted / "introspection_directions" / "directions.safetensors")
    for kind, at, layer in ((SELF, 1, 1), (SELF, 1, 2), (OTHER, 1, 1), (OTHER, 2, 2)):
        assert saved[f"{kind}.direction"][layer] @ unit(at) > 0.99
        assert np.linalg.norm(saved[f"{kind}.direction"][layer]) == pytest.approx(1, abs=1e-5)
    assert saved[f"{SELF}.spread"][1] == pytest.approx(np.hypot((confidence(1) / 10).std(), 0.3), rel=0.05)


def test_separation_is_near_perfect_where_planted_and_at_chance_where_not(planted: Path) -> None:
    layers = result(planted)["passes"][SELF]["layers"]
    for layer in (1, 2):
        assert layers[layer]["auroc"]["value"] > 0.99
        assert layers[layer]["auroc"]["low"] > 0.95  # all pairs right: as many as 80 questions can show
        assert layers[layer]["cohens_d"]["low"] > 2
        assert layers[layer]["p_corrected"] == pytest.approx(1 / 101)
        assert layers[layer]["ridge"]["auroc"]["value"] > 0.99
        assert layers[layer]["ridge"]["cosine"] > 0.8
        assert layers[layer]["signal_share"] > 0.98
        assert abs(layers[layer]["shuffled"]["mean"] - 0.5) < 0.05
    assert layers[0]["auroc"]["low"] < 0.5 < layers[0]["auroc"]["high"]
    assert layers[0]["cohens_d"]["low"] < 0 < layers[0]["cohens_d"]["high"]
    assert layers[0]["p_corrected"] > 0.05


def test_self_and_other_sharing_a_direction_or_not_is_told_apart(planted: Path) -> None:
    between = result(planted)["self_other"]
    assert between[1]["cosine"]["low"] > 0.98
    assert between[1]["cosine"]["low"] < 1 < between[1]["cosine"]["high"]
    apart = float(unit(1) @ unit(2))
    assert between[2]["cosine"]["low"] < apart < between[2]["cosine"]["high"]
    assert between[2]["cosine"]["high"] - between[2]["cosine"]["low"] < 0.1


def test_noise_that_a_question_carries_into_both_passes_is_no_common_direction(tmp_path: Path) -> None:
    """Both estimated directions were nearly the same vector, made of the same noise."""
    confidences, x = confidence(1), noise(QUESTIONS, 3)
    x[:, 0] += np.outer((confidences - 50) / 50, unit(1))
    z = x.copy()
    z[:, 0] += np.outer((confidences - 50) / 50, unit(2) - unit(1))
    write_store(tmp_path, {SELF: x, OTHER: z}, {SELF: confidences, OTHER: confidences})
    assert analyze(tmp_path) == EXIT_DONE
    between = result(tmp_path)["self_other"]
    apart = float(unit(1) @ unit(2))
    assert between[0]["cosine"]["low"] < apart < between[0]["cosine"]["high"]
    assert between[0]["plain_cosine"] > between[0]["cosine"]["value"] + 0.03
    assert between[1]["plain_cosine"] > 0.99
    assert between[1]["cosine"]["low"] is None


def test_a_layer_whose_states_are_all_the_same_has_no_value(tmp_path: Path) -> None:
    questions = 210  # thirds and folds of no power of two, so that means of equal numbers would differ by rounding
    x = noise(questions, 3)
    x[:, 0] = unit(5)
    write_store(tmp_path, {SELF: x, OTHER: x}, {SELF: confidence(1, questions), OTHER: confidence(2, questions)})
    assert analyze(tmp_path) == EXIT_DONE
    layer = result(tmp_path)["passes"][SELF]["layers"][0]
    for name in ("auroc", "cohens_d"):
        assert layer[name]["value"] is None
    assert layer["spread"] is layer["p_corrected"] is layer["signal_share"] is layer["ridge"]["cosine"] is None
    assert result(tmp_path)["self_other"][0] == {
        "cosine": {"value": None, "low": None, "high": None, "n": layer_n(tmp_path), "level": 0.95, "method": ""},
        "plain_cosine": None,
    }
    assert np.isnan(load_file(tmp_path / "introspection_directions" / "directions.safetensors")[f"{SELF}.spread"][0])


def layer_n(run: Path) -> int:
    n: int = result(run)["self_other"][1]["cosine"]["n"]
    return n


def test_results_are_shown_again_and_made_again_for_other_settings(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (planted / "introspection_directions" / "result.json").stat().st_mtime_ns
    assert analyze(planted) == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    assert (planted / "introspection_directions" / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("confidences", "reason"),
    [
        (np.full(60, 50.0) + 1e-6 * np.arange(60), "confidence hardly varies over its 60 questions (50.000 to 50.000"),
        (np.full(3, 33.0), "confidence hardly varies over its 3 questions (33.000 to 33.000"),
        (np.arange(12.0), "12 questions give 4 of high and 4 of low confidence; 5 folds need 10 of each"),
    ],
)
def test_too_little_is_said_not_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], confidences: np.ndarray, reason: str
) -> None:
    write_store(tmp_path, {SELF: noise(len(confidences), 1)}, {SELF: confidences})
    assert analyze(tmp_path) == EXIT_DONE
    shown = capsys.readouterr().out
    assert f"{SELF}: {reason}" in shown
    assert f"{OTHER}: the store holds no such pass" in shown
    content = result(tmp_path)
    assert content["passes"] == {}
    assert content["self_other"] is None
    assert reason in (tmp_path / "introspection_directions" / "RESULTS.md").read_text()


def test_a_store_without_confidence_passes_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path, {"mcq": noise(30, 1)}, {})
    assert analyze(tmp_path) == EXIT_USER
    message = capsys.readouterr().err
    for part in ("holds no row of self_confidence or other_confidence (it has: mcq)", "collect.py --exp introspection"):
        assert part in message


def test_ties_stay_together_and_every_fold_holds_both() -> None:
    confidences = np.repeat([10.0, 20.0, 80.0], [30, 20, 10])
    ids = np.array([f"q{i}" for i in range(60)])
    chosen = extremes(confidences, ids, 1 / 3, 5, seed=0)
    assert set(confidences[chosen.rows][chosen.high]) == {20.0, 80.0}
    assert (~chosen.high).sum() == 30
    for f in range(5):
        assert chosen.high[chosen.fold == f].sum() == 6
    with pytest.raises(NothingToCompare, match="thresholds 10"):
        extremes(np.repeat([10.0, 20.0], [55, 5]), ids, 1 / 3, 5, seed=0)


def test_alike_questions_share_a_fold_and_swap_labels_together() -> None:
    groups = np.repeat([f"g{i}" for i in range(40)], 3)
    confidences = np.repeat(np.random.default_rng(0).uniform(0, 100, 40), 3)
    confidences[:3] = 0.0, 100.0, 0.0  # one group is of high and of low confidence
    chosen = extremes(confidences, groups, 1 / 3, 5, seed=0)
    of_row = groups[chosen.rows]
    assert all(len(set(chosen.fold[of_row == name].tolist())) == 1 for name in set(of_row.tolist()))
    shuffled = shuffled_labels(chosen.high, chosen.fold, of_row, 40, seed=0)
    alike = [shuffled[of_row == name] for name in set(of_row.tolist()) - {"g0"} if (of_row == name).sum() == 3]
    assert np.mean([(labels == labels[0]).all(0).mean() for labels in alike]) > 0.8
    assert (shuffled != chosen.high[:, None]).mean() > 0.3


def test_auroc_within_one_fold_is_the_usual_one_and_folds_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    scores, high = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    fold = np.arange(40) % 2
    boot = GroupBootstrap(np.arange(40), resamples=50, level=0.95, seed=0)
    alone = np.zeros(40, int)
    expected = auroc(scores, high)
    assert auroc_estimate(scores, high, alone, boot).value == pytest.approx(expected)
    pairs = [high[fold == f].sum() * (~high[fold == f]).sum() for f in (0, 1)]
    by_fold = [auroc(scores[fold == f], high[fold == f]) for f in (0, 1)]
    moved = scores + 100.0 * fold.astype(np.float64)
    assert auroc_estimate(moved, high, fold, boot).value == pytest.approx(np.average(by_fold, weights=pairs))


def test_cohens_d_of_ten_numbers() -> None:
    scores, high = np.array([1.0, 2, 3, 4, 5, 3, 4, 5, 6, 7]), np.repeat([False, True], 5)
    boot = GroupBootstrap(np.arange(10), resamples=200, level=0.95, seed=0)
    assert cohens_d(scores, high, np.zeros(10, int), boot).value == pytest.approx(2 / np.sqrt(2.5))
    assert np.isnan(cohens_d(np.ones(10), high, np.zeros(10, int), boot).value)


def test_held_out_rows_do_not_shape_their_own_direction() -> None:
    rng = np.random.default_rng(1)
    high, fold = np.arange(40) % 2 == 0, np.arange(40) // 2 % 4
    wide = rng.normal(size=(40, 2000))  # so wide that any labeling of seen rows is perfectly separable
    scores = held_out_projections(wide, high[:, None], fold)
    assert 0.2 < aurocs(scores[:, 0], high, stratum=fold) < 0.8


def test_the_noise_free_cosine_is_unbiased_where_the_plain_one_is_not() -> None:
    values = []
    boot = GroupBootstrap(np.arange(80), resamples=1, level=0.95, seed=0)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        high = (np.arange(80) % 2).astype(float)
        shift = np.outer(2 * high - 1, np.eye(100)[0])
        one, other = (Labelled(shift + rng.normal(size=(80, 100)), high, 1 - high) for _ in range(2))
        values.append(corrected_cosine(one, other, boot).value)
    assert np.mean(values) == pytest.approx(1, abs=4 * np.std(values) / np.sqrt(40))


def test_there_are_as_many_layers_as_stored(planted: Path) -> None:
    content = result(planted)
    assert content["layers"] == [f"resid_post.{i}" for i in range(LAYERS)]
    assert len(content["self_other"]) == LAYERS
