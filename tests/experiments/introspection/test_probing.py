"""Emergence over layers: planted onsets are found, their lag too, and nothing has no onset."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.emergence.page import lag_sentence
from lit_experiments.experiments.introspection.emergence.result import EmergenceResult, Lag
from lit_experiments.experiments.introspection.emergence.task import first_above, onset_of
from lit_experiments.statistics import Estimate
from lit_experiments.tasks.result_files import read_result
from tests.experiments.introspection.planted import LAYERS, MCQ, QUESTIONS, SELF, noise, unit, write_store

CONFIDENCE = f"{SELF}.{SELF}"


def train(run: Path) -> None:
    argv = ["train", "--exp", "introspection_probes", "--run", str(run), "--bootstraps", "50", "--permutations", "99"]
    assert main([*argv, "--shuffles", "19", "--accelerator", "cpu", "--twin", "false"]) == EXIT_DONE


def analyze(run: Path, *options: str) -> int:
    argv = ["analyze", "--exp", "introspection_probing", "--run", str(run), "--bootstraps", "300"]
    return main([*argv, "--permutations", "500", *options])


def plant(run: Path, confidence_from: int) -> None:
    """The mcq pass's entropy along unit(1) in every layer; the self pass's confidence along unit(2) from one layer on.
    No layer knows the margin."""
    x, z, rng = noise(QUESTIONS, 3), noise(QUESTIONS, 4), np.random.default_rng(5)
    entropy, confidence = rng.uniform(0, 1.3, QUESTIONS), rng.uniform(5, 95, QUESTIONS)
    x += np.multiply.outer((entropy - 0.65) * 8, unit(1))[:, None, :]
    z[:, confidence_from:] += np.multiply.outer((confidence - 50) / 8, unit(2))[:, None, :]
    mcq = {"entropy": entropy.tolist(), "logit_margin": rng.normal(size=QUESTIONS).tolist()}
    write_store(run, {MCQ: x, SELF: z}, {SELF: confidence}, embedded=True, columns={MCQ: mcq})


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("late")
    plant(run, confidence_from=2)
    train(run)
    assert analyze(run) == EXIT_DONE
    return run


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_probing" / "result.json").read_text())
    return content


def pair(run: Path, states: str, target: str) -> dict[str, Any]:
    (matching,) = [p for p in result(run)["pairs"] if (p["states"], p["target"]) == (states, target)]
    return matching


def test_every_output_is_there(late: Path) -> None:
    out = late / "introspection_probing"
    assert {"config.yaml", "result.json", "results.json", "RESULTS.md", "report.html"} <= {
        p.name for p in out.iterdir()
    }
    assert {"emergence.png", "onset_intervals.png"} <= {p.name for p in (out / "figures").iterdir()}
    assert "demonstration" in (out / "RESULTS.md").read_text().splitlines()[2]
    assert read_result(out, EmergenceResult).pairs


def test_planted_onsets_are_found(late: Path) -> None:
    entropy, confidence = pair(late, MCQ, "mcq.entropy")["onset"], pair(late, SELF, CONFIDENCE)["onset"]
    assert (entropy["layer"], entropy["low"], entropy["high"]) == ("resid_post.0",) * 3
    assert confidence["layer"] == confidence["high"] == "resid_post.2"
    assert confidence["none_share"] == 0


def test_what_no_layer_knows_has_no_onset(late: Path) -> None:
    for kind in (MCQ, SELF):
        onset = pair(late, kind, "mcq.logit_margin")["onset"]
        assert onset["layer"] is onset["high"] is None
        assert onset["none_share"] > 0.3
    row = next(
        p for p in read_result(late / "introspection_probing", EmergenceResult).pairs if p.target == "mcq.logit_margin"
    )
    assert row.at_chosen.threshold < row.detectable < 1
    assert "seen at 80 % power" in (late / "introspection_probing" / "RESULTS.md").read_text()


def test_a_control_lies_below_a_layer_that_knows_and_around_one_that_does_not(late: Path) -> None:
    curve = pair(late, SELF, CONFIDENCE)["curve"]
    assert len(curve) == LAYERS
    assert curve[2]["control_high"] <= curve[2]["threshold"] < curve[2]["score"]["low"]
    assert curve[0]["score"]["value"] < curve[0]["threshold"] + 1e-9


def test_the_lag_counts_layers(late: Path, tmp_path: Path) -> None:
    lag = result(late)["lag"]
    assert lag["estimate"]["value"] == 2
    assert lag["estimate"]["high"] in (2, None)  # none where all resamples agree on it
    assert lag["undefined_share"] == 0
    plant(tmp_path, confidence_from=0)
    train(tmp_path)
    assert analyze(tmp_path) == EXIT_DONE
    none = result(tmp_path)["lag"]["estimate"]
    assert (none["value"], none["low"], none["high"]) == (0, None, None)
    assert "both become readable in the same layer" in (tmp_path / "introspection_probing" / "RESULTS.md").read_text()


def test_first_above_and_its_interval() -> None:
    scores = np.array([[0.1, 0.6, 0.2], [0.0, 0.1, 0.2], [0.9, 0.9, 0.9], [0.1, 0.4, 0.9]])
    first = first_above(scores, np.array([0.5, 0.5, 0.5]))
    np.testing.assert_array_equal(first, [1, np.nan, 0, 2])
    drawn = np.array([0.0] * 2 + [1.0] * 88 + [np.nan] * 10)
    onset = onset_of(1.0, drawn, ["a", "b", "c"], questions=50)
    assert (onset.layer, onset.low, onset.high, onset.none_share) == ("b", "b", None, 0.1)
    drawn[:10] = 0.0  # now every layer and none are within the interval: it says nothing
    onset = onset_of(1.0, drawn, ["a", "b", "c"], questions=50)
    assert (onset.layer, onset.low, onset.high, onset.none_share) == ("b", None, None, 0.1)
    drawn = np.array([0.0] * 2 + [1.0] * 96 + [2.0] * 2)
    onset = onset_of(1.0, drawn, ["a", "b", "c"], questions=50)
    assert (onset.low, onset.high, onset.index_low) == ("b", "b", 1)
    few = onset_of(1.0, drawn, ["a", "b", "c"], questions=4)
    assert (few.layer, few.low, few.index_high) == ("b", None, None)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        ((2, 1, 3), "later than entropy"),
        ((-2, -3, -1), "earlier than entropy"),
        ((1, 0, 2), "it is not seen which comes first"),
        ((1, np.nan, np.nan), "It has no interval: 40% of the resamples"),
        ((np.nan, np.nan, np.nan), "undefined: one of the two has no onset"),
    ],
)
def test_the_lag_in_words(estimate: tuple[float, float, float], words: str) -> None:
    assert words in lag_sentence(Lag(Estimate(*estimate, 72, 0.95), undefined_share=0.4, absent=[]))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--permutations", "10"], ["permutations must be at least 19, found 10", "--permutations 19"]),
        (["--permutations", "50", "--alpha", "0.01"], ["permutations must be at least 99", "--permutations 99"]),
        (["--alpha", "1.5"], ["alpha must lie between 0 and 1"]),
    ],
)
def test_settings_that_cannot_be(
    late: Path, capsys: pytest.CaptureFixture[str], options: list[str], parts: list[str]
) -> None:
    assert analyze(late, *options) == EXIT_USER
    message = capsys.readouterr().err
    assert all(part in message for part in parts)


@pytest.mark.parametrize("name", ["introspection_probing", "introspection_surface"])
def test_without_probes_the_next_command_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    plant(tmp_path, confidence_from=0)
    assert main(["analyze", "--exp", name, "--run", str(tmp_path)]) == EXIT_USER
    message = capsys.readouterr().err
    assert "holds no finished results" in message
    assert f"lit-experiments train --exp introspection_probes --run {tmp_path}" in message


def test_probes_of_another_store_are_refused(late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run was collected anew, with more questions, after its probes were trained."""
    write_store(tmp_path, {SELF: noise(40, 1)}, {SELF: np.linspace(5, 95, 40)})
    (late / "introspection_probes").rename(tmp_path / "introspection_probes")
    try:
        assert analyze(tmp_path) == EXIT_USER
        assert "has changed since" in capsys.readouterr().err
    finally:
        (tmp_path / "introspection_probes").rename(late / "introspection_probes")
