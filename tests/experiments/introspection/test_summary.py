"""What `inspect` says and `export` writes of study 3, on the embedded model with and without its adapter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.passes import answer_states, passes
from lit_experiments.statistics.calibration import auroc
from tests.calibration_by_pairs import error_by_pairs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The base model and the one with the adapter on the same 16 questions."""
    folder = tmp_path_factory.mktemp("runs")
    for name, extra in (("base", []), ("tuned", ["--adapter", "embedded"])):
        words = ["collect", "--exp", "introspection", "--num_questions", "16", "--accelerator", "cpu", *extra]
        assert main([*words, "--run", str(folder / name)]) == EXIT_DONE
    return {"base": folder / "base", "tuned": folder / "tuned"}


def test_inspect_shows_scores_that_follow_from_the_rows(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(runs["base"]), "--examples", "2"]) == EXIT_DONE
    shown = capsys.readouterr().out
    rows = passes(stores.open_store(runs["base"] / "store"))
    correct = rows["mcq"].is_correct.to_numpy(float)
    claimed = rows["self_confidence"].self_confidence.to_numpy() / 100
    lines = {line.split("  ")[0]: line.split()[-5:] for line in shown.splitlines() if line.endswith(" 16")}
    assert any(f"{correct.mean():.3f}" in line for line in shown.splitlines() if line.startswith("accuracy"))
    for name, value in (
        ("calibration error of self-confidence", error_by_pairs(claimed, correct, np.arange(len(claimed)), 10)),
        ("AUROC of self-confidence", auroc(claimed, correct)),
    ):
        assert name in lines
        assert any(f"{value:.3f} [" in line for line in shown.splitlines() if line.startswith(name))
    first = rows["mcq"].iloc[0]
    assert first.question_text in shown
    assert f"{first.correct_answer_letter}) " in shown
    assert "<- key" in shown


def test_two_stores_side_by_side_differ_nowhere_below_the_first_adapted_block(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(runs["base"]), "--compare_with", str(runs["tuned"])]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "Side by side: 16 questions in both" in shown
    assert "Same answer:" in shown
    assert "model.adapter" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.startswith("resid_post.")}
    for layer in (0, 1):
        assert rows[f"resid_post.{layer}"] == ["1.0000", "1.0000", "0.0000"] * 3
    for layer in (2, 5):
        assert all(float(rows[f"resid_post.{layer}"][i]) > 0 for i in (2, 5, 8))


def test_answer_states_are_the_last_tokens_of_their_rows(runs: dict[str, Path]) -> None:
    store = stores.open_store(runs["base"] / "store")
    rows = passes(store)["self_confidence"].iloc[[3, 1]]
    whole, ends = store["resid_post"].read(layer=4), np.cumsum(store["resid_post"].lengths())
    assert np.array_equal(answer_states(store, rows, 4), whole[ends[rows["row"]] - 1])


def test_the_export_opens_with_the_code_that_users_try(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "npy"
    assert main(["export", str(runs["base"]), "--format", "npy", "--out", str(out)]) == EXIT_DONE
    store = stores.open_store(runs["base"] / "store")
    for kind, rows in passes(store).items():
        metadata = json.loads((out / kind / "metadata.json").read_text())
        states, mask = np.load(out / kind / "activations_layer_05.npy"), np.load(out / kind / "mask.npy")
        assert states.shape == (*mask.shape, 256)
        assert metadata[7]["entropy"] == pytest.approx(rows.entropy.iloc[7])
        last = states[np.arange(16), mask.sum(1) - 1]
        assert np.array_equal(last.astype(np.float64), answer_states(store, rows, 5))
        assert not states[~mask].any()
    config = json.loads((out / "run_config.json").read_text())
    assert config["layers"] == [f"resid_post.{i}" for i in range(6)]
    assert "padding" in config["note"]
    assert main(["export", str(runs["base"]), "--format", "npy", "--out", str(out)]) == EXIT_USER


def test_a_store_without_the_mcq_pass_is_summed_up_without_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--num_questions", "4", "--accelerator", "cpu", "--passes", "[other_confidence]"]
    assert main(["collect", "--exp", "introspection", *words, "--run", str(tmp_path)]) == EXIT_DONE
    assert main(["inspect", str(tmp_path), "--compare_with", str(tmp_path)]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "other_confidence: mean probability of each confidence" in shown
    assert "accuracy" not in shown
    assert "Fingerprints: the same" in shown
    assert "No mcq pass in both" in shown


def test_answers_are_compared_as_options_where_one_run_shuffled_them(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--num_questions", "16", "--accelerator", "cpu", "--passes", "[mcq]", "--shuffle_options", "true"]
    assert main(["collect", "--exp", "introspection", *words, "--run", str(tmp_path)]) == EXIT_DONE
    assert main(["inspect", str(runs["base"]), "--compare_with", str(tmp_path)]) == EXIT_DONE
    a, b = (passes(stores.open_store(run / "store"))["mcq"] for run in (runs["base"], tmp_path))
    chosen = [[row.options["ABCD".index(row.parsed_answer)] for row in answers.itertuples()] for answers in (a, b)]
    same = np.mean([x == y for x, y in zip(*chosen, strict=True)])
    assert same != (a.parsed_answer == b.parsed_answer).mean()
    assert f"Same answer: {same:.3f} [" in capsys.readouterr().out
