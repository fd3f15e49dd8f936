"""Layerwise probes: what is planted is found and credited to what carries it; what is absent is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.fork_server import ForkServer
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.passes import answer_states, open_introspection, passes
from lit_experiments.experiments.introspection.probes_result import ProbesResult
from lit_experiments.probes.class_probe import load_class_probe
from lit_experiments.probes.save import load_probe
from lit_experiments.tasks.result_files import read_result
from tests.experiments.introspection.planted import (
    LAYERS,
    MCQ,
    QUESTIONS,
    SELF,
    noise,
    plant,
    unit,
    write_store,
)

QUICK = ["--bootstraps", "200", "--permutations", "499", "--shuffles", "19", "--accelerator", "cpu", "--twin", "false"]


def train(run: Path, *options: str) -> int:
    return main(["train", "--exp", "introspection_probes", "--run", str(run), *QUICK, *options])


def metrics(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_probes" / "metrics.json").read_text())
    return content


def pair(run: Path, states: str, target: str) -> dict[str, Any]:
    (matching,) = [p for p in metrics(run)["pairs"] if (p["states"], p["target"]) == (states, target)]
    return matching


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("planted")
    plant(run)
    assert train(run) == EXIT_DONE
    return run


def test_every_output_is_there(planted: Path) -> None:
    out = planted / "introspection_probes"
    names = {"config.yaml", "metrics.json", "predictions.safetensors", "split.json", "RESULTS.md", "report.html"}
    assert names | {"result.json", "probes"} <= {p.name for p in out.iterdir()}
    assert {"layers.png", "gain_intervals.png"} <= {p.name for p in (out / "figures").iterdir()}
    assert len(read_result(out, ProbesResult).pairs) == len(metrics(planted)["pairs"])
    split = json.loads((out / "split.json").read_text())
    assert sorted(split["train"] + split["test"]) == sorted(f"q{i}" for i in range(QUESTIONS))
    assert len(split["test"]) == 72
    assert not set(split["train"]) & set(split["test"])


def test_a_planted_direction_is_found_in_its_layer(planted: Path) -> None:
    probed = pair(planted, SELF, "self_confidence.self_confidence")
    assert probed["chosen"]["layer"] == "resid_post.1"
    assert probed["chosen"]["score"]["low"] > 0.97
    assert probed["chosen"]["p_corrected"] == pytest.approx(1 / 500)
    assert probed["layers"][0]["score"]["value"] < 0.05
    assert probed["layers"][0]["p_corrected"] > 0.05
    assert probed["controls"]["shuffled"]["high"] < 0.1
    probe = load_probe(planted / "introspection_probes" / "probes" / SELF / "self_confidence.self_confidence", None)
    direction = probe.weights[0] / probe.scale[0]
    assert direction @ unit(1) / np.linalg.norm(direction) > 0.99
    assert probe.layers == ("resid_post.1",)
    assert probe.fingerprint["pass"] == SELF


def test_states_of_one_pass_tell_of_another(planted: Path) -> None:
    probed = pair(planted, SELF, "mcq.logit_margin")
    assert probed["chosen"]["layer"] == "resid_post.2"
    assert probed["chosen"]["score"]["low"] > 0.97
    absent = pair(planted, MCQ, "mcq.logit_margin")
    assert absent["chosen"]["score"]["value"] < 0.05
    assert absent["chosen"]["p_targets"] > 0.05


def test_what_the_surface_tells_is_credited_to_the_surface(planted: Path) -> None:
    probed = pair(planted, MCQ, "mcq.entropy")
    assert probed["chosen"]["score"]["low"] > 0.9
    surface = probed["controls"]["surface"]
    assert surface["features"] == ["char_length"]
    assert surface["score"]["low"] > 0.9
    assert abs(surface["gain"]["value"]) < 0.01
    assert surface["gain"]["low"] <= 0.005
    confidence = pair(planted, SELF, "self_confidence.self_confidence")["controls"]["surface"]
    assert confidence["score"]["value"] < 0.1
    assert confidence["gain"]["low"] > 0.8


def test_what_repeats_the_output_confidence_adds_nothing_to_it(planted: Path) -> None:
    probed = pair(planted, MCQ, "mcq.correctness")
    assert probed["score"] == "auroc"
    assert probed["chosen"]["layer"] == "resid_post.1"
    assert probed["chosen"]["score"]["low"] > 0.8
    confidence = probed["controls"]["confidence"]
    assert confidence["score"]["low"] > 0.8
    assert confidence["gain"]["low"] <= 0 <= confidence["gain"]["high"] + 0.01
    assert probed["controls"]["surface"]["gain"]["low"] > 0.2
    probe = load_class_probe(
        planted / "introspection_probes" / "probes" / MCQ / "mcq.correctness",
        **dict.fromkeys(("model", "layer", "classes")),
    )
    direction = (probe.weights[1] - probe.weights[0]) / probe.scale
    assert direction @ unit(3) / np.linalg.norm(direction) > 0.9


def test_the_target_itself_is_never_its_own_control(planted: Path) -> None:
    features = {
        (p["states"], p["target"]): (p["controls"]["confidence"] or {"features": []})["features"]
        for p in metrics(planted)["pairs"]
    }
    assert "entropy" not in features[MCQ, "mcq.entropy"]
    assert "entropy" in features[MCQ, "mcq.correctness"]
    assert "self_confidence" not in features[SELF, "self_confidence.self_confidence"]
    assert "self_confidence" in features[SELF, "mcq.entropy"]


def test_what_cannot_be_asked_is_stated_and_left_out(planted: Path) -> None:
    statements = " ".join(metrics(planted)["statements"])
    assert "mcq.parsed_answer: no probe; fewer than two classes" in statements
    assert "A 240, B 0, C 0, D 0" in statements
    assert "self_confidence.entropy: no probe; it has no value for 240 of 240 questions." in statements
    assert "other_confidence.entropy: no probe; the store holds no other_confidence pass." in statements
    assert "states of other_confidence: the store holds no such pass." in statements
    assert not any(p["target"] == "mcq.parsed_answer" for p in metrics(planted)["pairs"])


def test_held_out_predictions_are_those_of_the_saved_probes(planted: Path) -> None:
    out = planted / "introspection_probes"
    arrays = load_file(out / "predictions.safetensors")
    name = f"{SELF}>self_confidence.self_confidence"
    test = json.loads((out / "split.json").read_text())["test"]
    assert arrays[f"{name}.hidden"].shape == (len(test), LAYERS, 1)
    store = open_introspection(planted)
    rows = passes(store)[SELF].loc[test]
    np.testing.assert_allclose(arrays[f"{name}.true"], rows[SELF].to_numpy())
    probe = load_probe(out / "probes" / SELF / "self_confidence.self_confidence", None)
    expected = probe.predict(answer_states(store, rows, 1), probe.targets[0])
    np.testing.assert_allclose(arrays[f"{name}.hidden"][:, 1, 0], expected, rtol=1e-5)


def test_pure_noise_gives_no_false_discovery(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    mcq = {
        "entropy": rng.uniform(0, 1.3, QUESTIONS).tolist(),
        "logit_margin": rng.normal(size=QUESTIONS).tolist(),
        "is_correct": (rng.random(QUESTIONS) < 0.4).tolist(),
        "parsed_answer": rng.choice(list("ABCD"), QUESTIONS).tolist(),
        "char_length": rng.integers(20, 200, QUESTIONS).tolist(),
    }
    states = {MCQ: noise(QUESTIONS, 21), SELF: noise(QUESTIONS, 22)}
    write_store(tmp_path, states, {SELF: rng.uniform(5, 95, QUESTIONS)}, columns={MCQ: mcq})
    assert train(tmp_path) == EXIT_DONE
    pairs = metrics(tmp_path)["pairs"]
    assert len(pairs) == 10
    for probed in pairs:
        assert probed["chosen"]["score"]["low"] <= probed["chance"], probed["target"]
        assert probed["chosen"]["p_targets"] > 0.05
        if probed["score"] == "auroc":
            assert probed["chosen"]["score"]["low"] < 0.5 < probed["chosen"]["score"]["high"]


def test_other_positions_on_request(tmp_path: Path) -> None:
    """The token before the answer holds states of no meaning."""
    plant(tmp_path)
    assert train(tmp_path, "--position=-2", "--targets", "[self_confidence.self_confidence]") == EXIT_DONE
    probed = pair(tmp_path, SELF, "self_confidence.self_confidence")
    assert probed["chosen"]["score"]["value"] < 0.05
    assert metrics(tmp_path)["position"] == "-2"


def test_random_features_stand_in_where_a_store_holds_no_token_ids(tmp_path: Path) -> None:
    plant(tmp_path)
    assert train(tmp_path, "--twin", "true", "--targets", "[self_confidence.self_confidence]") == EXIT_DONE
    twins = pair(tmp_path, SELF, "self_confidence.self_confidence")["controls"]["twins"]
    assert (twins["kind"], len(twins["scores"])) == ("random features", 5)
    assert max(twins["scores"]) < 0.2 < 0.7 < twins["difference"]["low"]
    assert "does not hold the token ids" in " ".join(metrics(tmp_path)["statements"])


def test_two_devices_and_a_second_start_give_the_same_numbers(
    planted: Path, tmp_path: Path, fork_server: Callable[[], ForkServer]
) -> None:
    plant(tmp_path)
    some = ["--targets", "[self_confidence.self_confidence, mcq.correctness]"]
    argv = ["train", "--exp", "introspection_probes", "--run", str(tmp_path), *QUICK, *some, "--devices", "2"]
    fork_server().run([*argv, "--restart"], tmp_path).check_returncode()
    assert not list(tmp_path.glob("*.old-*")), "the second process set the first one's work aside"
    for target in ("self_confidence.self_confidence", "mcq.correctness"):
        one, two = pair(planted, SELF, target), pair(tmp_path, SELF, target)
        assert two["chosen"]["layer"] == one["chosen"]["layer"]
        assert two["chosen"]["score"]["value"] == pytest.approx(one["chosen"]["score"]["value"], abs=1e-6)
    before = metrics(tmp_path)
    (tmp_path / "introspection_probes" / "results.json").unlink()  # as if stopped after the last fit
    assert train(tmp_path, *some) == EXIT_DONE
    assert [p["chosen"]["score"] for p in metrics(tmp_path)["pairs"]] == [p["chosen"]["score"] for p in before["pairs"]]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--targets", "[mcq.confidence]"], ["mcq.entropy, self_confidence.entropy", "found mcq.confidence"]),
        (["--position", "first"], ['position must be answer or -k such as -3, found "first"']),
        (["--position=-3"], ["no entry 3 from the end", "Ask for one that every row has"]),
        (["--passes", "[other]"], ["passes must be some of mcq"]),
        (["--layers", "[resid_post.9]"], ["no layer resid_post.9; it has resid_post.0"]),
        (["--targets", "[other_confidence.entropy]"], ["There is nothing to probe", "no other_confidence pass"]),
        (["--folds", "200"], ["200 folds and a test part need at least", "lower --folds"]),
    ],
)
def test_a_mistake_is_answered_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], parts: list[str]
) -> None:
    plant(tmp_path)
    assert train(tmp_path, *options) == EXIT_USER
    message = capsys.readouterr().err
    for part in parts:
        assert part in message
