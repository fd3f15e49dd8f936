"""Internal against surface: what is planted in either is credited to it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.introspection.probes_result import ControlScore
from lit_experiments.experiments.introspection.surface_control.result import SurfaceResult
from lit_experiments.experiments.introspection.surface_control.task import feature_weights
from lit_experiments.statistics import Estimate
from lit_experiments.tasks.result_files import read_result
from tests.experiments.introspection.planted import LAYERS, MCQ, SELF, noise, plant, write_store


def run_both(run: Path) -> None:
    argv = ["train", "--exp", "introspection_probes", "--run", str(run), "--bootstraps", "50", "--permutations", "499"]
    assert main([*argv, "--shuffles", "19", "--accelerator", "cpu", "--twin", "false"]) == EXIT_DONE
    assert main(["analyze", "--exp", "introspection_surface", "--run", str(run), "--bootstraps", "300"]) == EXIT_DONE


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("planted")
    plant(run)
    run_both(run)
    return run


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_surface" / "result.json").read_text())
    return content


def pair(run: Path, states: str, target: str) -> dict[str, Any]:
    (matching,) = [p for p in result(run)["pairs"] if (p["states"], p["target"]) == (states, target)]
    return matching


def test_every_output_is_there(planted: Path) -> None:
    out = planted / "introspection_surface"
    assert {"config.yaml", "result.json", "results.json", "RESULTS.md", "report.html"} <= {
        p.name for p in out.iterdir()
    }
    assert {"curves.png", "features.png"} <= {p.name for p in (out / "figures").iterdir()}
    assert read_result(out, SurfaceResult).pairs


@pytest.mark.parametrize(
    ("states", "target", "verdict"),
    [
        (MCQ, "mcq.entropy", "surface-explained"),
        (SELF, "mcq.entropy", "not supported"),
        (SELF, "self_confidence.self_confidence", "supported"),
        (SELF, "mcq.logit_margin", "supported"),
        (MCQ, "mcq.logit_margin", "not supported"),
        (MCQ, "mcq.correctness", "output-explained"),
    ],
)
def test_verdicts_on_what_is_planted(planted: Path, states: str, target: str, verdict: str) -> None:
    assert pair(planted, states, target)["verdict"] == verdict


def test_every_page_shows_the_verdict_of_the_claim(planted: Path) -> None:
    claims = json.loads((planted / "introspection_probes" / "result.json").read_text())["claims"]
    words = {(item["claim"]["states"], item["claim"]["target"]): item["verdict"]["word"] for item in claims}
    tested = {(p["states"], p["target"]): p["verdict"] for p in result(planted)["pairs"]}
    assert tested == {pair: word for pair, word in words.items() if pair in tested}
    for name, shown in (("introspection_probes", words), ("introspection_surface", tested)):
        page = (planted / name / "RESULTS.md").read_text()
        for word in set(shown.values()):
            assert f"{word} {list(shown.values()).count(word)}" in page


def test_differences_are_those_of_the_scores_and_paired(planted: Path) -> None:
    scores = pair(planted, MCQ, "mcq.entropy")
    assert len(scores["by_layer"]) == LAYERS
    for layer in scores["by_layer"]:
        hidden, both, surface = layer["hidden"]["value"], layer["both"]["value"], scores["surface"]["value"]
        assert layer["both_less_surface"]["value"] == pytest.approx(both - surface)
        assert layer["hidden_less_surface"]["value"] == pytest.approx(hidden - surface)
        assert layer["both_less_hidden"]["value"] == pytest.approx(both - hidden)
    gain, score = scores["chosen"]["both_less_surface"], scores["chosen"]["both"]
    assert gain["high"] - gain["low"] < 0.5 * (score["high"] - score["low"])


def test_the_surface_feature_that_carries_it_is_named(planted: Path) -> None:
    weights = result(planted)["weights"]["mcq.entropy"]
    assert next(iter(weights)) == "char_length"
    spread = np.random.default_rng(7).integers(20, 200, 240).std() / 100
    assert weights["char_length"] == pytest.approx(spread, rel=0.2)


def test_weights_of_several_classes_are_root_mean_squares_and_ordered() -> None:
    def control(weights: list[list[float]]) -> ControlScore:
        return ControlScore(
            ["a", "b"], weights, *[Estimate.undefined(50, 0.95)] * 3, "resid_post.0", "numbers", "", np.nan
        )

    one = feature_weights(control([[0.1], [-0.5]]))
    assert one == {"b": -0.5, "a": 0.1}
    assert list(one) == ["b", "a"]
    assert feature_weights(control([[3.0, 4.0, 0.0], [0.0, 1.0, 0.0]]))["a"] == pytest.approx(5 / np.sqrt(3))


def test_without_surface_features_no_weights_are_shown(tmp_path: Path) -> None:
    write_store(tmp_path, {SELF: noise(60, 1)}, {SELF: np.random.default_rng(0).uniform(5, 95, 60)})
    run_both(tmp_path)
    assert result(tmp_path)["weights"] == {}
    assert "No surface feature varies" in (tmp_path / "introspection_surface" / "RESULTS.md").read_text()
