"""Base against finetuned, on stores whose states are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.passes import CONFIDENCE_PASSES
from tests.experiments.introspection.planted import LAYERS, Floats, noise, unit, write_store

QUESTIONS = 90
COMPARE = ["analyze", "--exp", "introspection_compare", "--bootstraps", "200"]


def confidences(seed: int) -> Floats:
    return np.random.default_rng(seed).uniform(5, 95, QUESTIONS)


def states(confidence: Floats, at: int, strength: float, seed: int) -> Floats:
    """Noise, with the confidence along one direction in the last layer."""
    values = noise(QUESTIONS, seed)
    values[:, -1] += strength * ((confidence - 50) / 50)[:, None] * unit(at)
    return values


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finetuning left all layers but the last alone; there it planted confidence that the base did not hold."""
    folder = tmp_path_factory.mktemp("runs")
    confidence = {"self_confidence": confidences(0), "other_confidence": confidences(1)}
    base = {kind: states(confidence[kind], 0, 0.0, 10 + i) for i, kind in enumerate(CONFIDENCE_PASSES)}
    tuned = {kind: values.copy() for kind, values in base.items()}
    for kind, values in tuned.items():
        values[:, -1] += 6 * ((confidence[kind] - 50) / 50)[:, None] * unit(0)
    write_store(folder / "run", base, confidence)
    write_store(folder / "run-finetuned", tuned, confidence)
    return folder


@pytest.fixture(scope="module")
def result(runs: Path) -> dict[str, Any]:
    assert main([*COMPARE, "--run", str(runs / "run")]) == EXIT_DONE
    return json.loads((runs / "run" / "introspection_compare" / "result.json").read_text())


@pytest.fixture(scope="module")
def probed(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same two runs with their probes trained."""
    folder = tmp_path_factory.mktemp("probed")
    for name in ("run", "run-finetuned"):
        shutil.copytree(runs / name / "store", folder / name / "store")
        train = ["train", "--exp", "introspection_probes", "--run", str(folder / name), "--twin", "false"]
        few = ["--shuffles", "19", "--bootstraps", "20", "--permutations", "20", "--accelerator", "cpu"]
        assert main([*train, *few]) == EXIT_DONE
    assert main([*COMPARE, "--run", str(folder / "run")]) == EXIT_DONE
    return json.loads((folder / "run" / "introspection_compare" / "result.json").read_text())


def test_layers_that_finetuning_left_alone_differ_by_exactly_nothing(result: dict[str, Any]) -> None:
    for layers in result["states"].values():
        assert [layer["largest_difference"] for layer in layers[:-1]] == [0.0] * (LAYERS - 1)
        assert layers[-1]["largest_difference"] > 1
        assert layers[0]["cosine"]["value"] == pytest.approx(1)
        assert layers[-1]["relative_change"]["low"] > 0.1


def test_a_direction_that_finetuning_planted_separates_in_the_finetuned_run_alone(result: dict[str, Any]) -> None:
    for layers in result["directions"].values():
        last = layers[-1]
        assert last["finetuned"]["value"] > 0.99
        assert last["finetuned"]["low"] > 0.85  # all pairs right: as much as 30 questions can show
        assert last["base"]["low"] < 0.5 < last["base"]["high"]
        assert last["difference"]["low"] > 0.1
        assert last["difference"]["value"] == pytest.approx(last["finetuned"]["value"] - last["base"]["value"])
        assert layers[0]["difference"]["value"] == 0


def test_likeness_changes_only_where_states_do(result: dict[str, Any]) -> None:
    first, last = result["self_other"][0], result["self_other"][-1]
    assert first["difference"] == first["difference"] | {"value": 0, "low": None, "high": None}
    assert last["base"]["low"] < 0 < last["base"]["high"]  # the passes' noise is their own


def test_the_report_says_up_to_where_nothing_changed(runs: Path, result: dict[str, Any]) -> None:
    page = (runs / "run" / "introspection_compare" / "RESULTS.md").read_text()
    assert "Up to resid_post.1 the states are the same bit for bit; resid_post.2 differs." in page
    assert (runs / "run" / "introspection_compare" / "figures" / "over_layers.png").exists()


def test_the_auroc_is_that_of_pairs_within_folds(result: dict[str, Any]) -> None:
    """One fold's pairs by hand would repeat the code; over all folds Mann-Whitney must be near."""
    confidence = confidences(0)
    tuned = states(confidence, 0, 0.0, 10)[:, -1] + 6 * ((confidence - 50) / 50)[:, None] * unit(0)
    projected = tuned @ unit(0)
    low, high = np.quantile(confidence, [1 / 3, 2 / 3])
    a, b = projected[confidence >= high], projected[confidence <= low]
    auroc = mannwhitneyu(a, b).statistic / (len(a) * len(b))
    assert result["directions"]["self_confidence"][-1]["finetuned"]["value"] == pytest.approx(auroc, abs=0.03)


def test_a_missing_run_is_one_message_with_the_command_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confidence = {"self_confidence": confidences(0)}
    write_store(tmp_path / "alone", {"self_confidence": states(confidence["self_confidence"], 0, 1.0, 3)}, confidence)
    assert main([*COMPARE, "--run", str(tmp_path / "alone")]) == EXIT_USER
    stderr = capsys.readouterr().err
    assert "alone-finetuned holds no store to compare with" in stderr
    assert "--adapter" in stderr


def test_passes_in_one_run_only_are_left_out_and_no_common_pass_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confidence = {kind: confidences(i) for i, kind in enumerate(CONFIDENCE_PASSES)}
    for kind in CONFIDENCE_PASSES:
        write_store(tmp_path / kind, {kind: states(confidence[kind], 0, 1.0, 3)}, confidence)
    command = [*COMPARE, "--run", str(tmp_path / CONFIDENCE_PASSES[0])]
    assert main([*command, "--finetuned", str(tmp_path / CONFIDENCE_PASSES[1])]) == EXIT_USER
    assert "no question in common in any pass" in capsys.readouterr().err


def test_confidence_that_does_not_vary_in_one_run_is_a_statement(tmp_path: Path) -> None:
    confidence = confidences(0)
    values = states(confidence, 0, 1.0, 3)
    write_store(tmp_path / "run", {"self_confidence": values}, {"self_confidence": confidence})
    flat = np.full(QUESTIONS, 50.0)
    write_store(tmp_path / "run-finetuned", {"self_confidence": values}, {"self_confidence": flat})
    assert main([*COMPARE, "--run", str(tmp_path / "run")]) == EXIT_DONE
    comparison = json.loads((tmp_path / "run" / "introspection_compare" / "result.json").read_text())
    assert comparison["directions"] == {}
    assert "of the finetuned run, confidence hardly varies" in comparison["statements"][0]


def test_probes_of_both_runs_are_compared_layer_by_layer(probed: dict[str, Any], result: dict[str, Any]) -> None:
    pair = "self_confidence", "self_confidence.self_confidence"
    (compared,) = [probe for probe in probed["probes"] if (probe["states"], probe["target"]) == pair]
    assert compared["layers"][0]["difference"] == compared["layers"][0]["difference"] | {
        "value": 0,
        "low": None,
        "high": None,
    }
    last = compared["layers"][-1]
    assert last["finetuned"]["low"] > 0.5
    assert last["difference"]["low"] > 0.3
    assert last["difference"]["value"] == pytest.approx(last["finetuned"]["value"] - last["base"]["value"])
    assert compared["chosen"]["at"][1] == "resid_post.2"
    assert result["probes"] == []
    assert any(
        "Probes are not compared" in statement and "--exp introspection_probes" in statement
        for statement in result["statements"]
    )
