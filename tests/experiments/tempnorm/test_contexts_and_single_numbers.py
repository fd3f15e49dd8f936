"""Copies of a context stay together, what one number predicts is not credited to the hidden vector, few contexts claim
nothing, finished training leaves no checkpoint, and scikit-learn reads every length."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.probes.save import load_probe
from stores import Column, Field, PartWriter, Records, Schema
from tests.intervals import check

LENGTHS, ALPHA, DRAWS, HIDDEN, WANDER = [1, 10], 4.0, 6, 8, 2


def planted(run: Path, contexts: int, copies: int = 1, signal: float = 1.0) -> None:
    """At L = 1 the log-tempnorm of a draw is -(alpha - 1) times the entropy, plus noise; at L = 10 it is linear in the
    hidden vector. Copies of a context wander to starting points of their own; the hidden vector knows the context."""
    rng = np.random.default_rng(5)
    rows = contexts * copies
    context = np.arange(rows) % contexts  # copies lie apart
    hidden = rng.normal(size=(contexts, HIDDEN))[context] + 0.1 * rng.normal(size=(rows, HIDDEN))
    entropy = rng.uniform(1, 4, rows)
    expected = np.stack([-(ALPHA - 1) * entropy, -20 + 3 * signal * hidden[:, 0]], -1)
    logs = expected[:, None] + rng.normal(size=(rows, DRAWS, len(LENGTHS)))
    fields = (
        Field("starting_hidden", ("layer", "sample", "hidden"), (1, None, HIDDEN), "float32", "", ""),
        Field("log_tempnorm", ("sample", "generation", "eval_length"), (None, DRAWS, 2), "float64", "nats", ""),
        Field("log_tempnorm_mean", ("sample", "eval_length"), (None, 2), "float64", "nats", ""),
    )
    names = ("prefix_length", "next_token_entropy", "log_one_step")
    columns = (*(Column(name, "float64", "") for name in names), Column("starting_point_ids", "list<int64>", ""))
    schema = Schema(fields, columns, {"layer": ["final_norm"], "eval_length": LENGTHS})
    settings = {"gen_length": 10, "initial_wander": WANDER, "alpha": ALPHA, "sites": ["final_norm"]}
    stores.create_store(run / "store", schema, {"settings": settings}, {}, "zarr")
    table = [
        {
            "sample_id": f"s{i}",
            "sample_index": i,
            "prefix_length": float(rng.normal()),
            "next_token_entropy": float(entropy[i]),
            "log_one_step": float(rng.normal()),
            "starting_point_ids": [1, int(context[i]), 7, *rng.integers(0, 99, WANDER).tolist()],
        }
        for i in range(rows)
    ]
    arrays = {
        "starting_hidden": hidden[None].astype(np.float32),
        "log_tempnorm": logs,
        "log_tempnorm_mean": np.log(np.exp(logs).mean(1)),
    }
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        writer.append(Records(table, arrays, {}, {}))


def train(run: Path, *options: str) -> int:
    argv = ["train", "--exp", "tempnorm_ridge", "--run", str(run), "--bootstraps", "200", "--shuffles", "19"]
    return main([*argv, "--accelerator", "cpu", *options])


def metrics(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "tempnorm_ridge" / "metrics.json").read_text())
    return content


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained")
    planted(run, contexts=120, copies=2)
    assert train(run) == EXIT_DONE
    return run


def test_copies_of_a_context_are_on_one_side_of_every_split(trained: Path) -> None:
    split = json.loads((trained / "tempnorm_ridge" / "split_eval_1.json").read_text())
    contexts = {part: {int(name[1:]) % 120 for name in names} for part, names in split.items()}
    assert not contexts["train"] & contexts["test"]
    folds = [contexts[f"fold{f}"] for f in range(5)]
    assert sum(map(len, folds)) == len(set.union(*folds)) == 90
    assert len(split["train"]) + len(split["test"]) == 240
    scores = metrics(trained)
    assert (scores["starting_points"], scores["contexts"], scores["held_out_contexts"]) == (240, 120, 30)
    assert scores["per_length"]["1"]["test"]["r2"]["n"] == 30


def test_copies_teach_the_ridge_nothing_about_themselves(tmp_path: Path) -> None:
    """The hidden vector tells the context alone, and what is predicted differs from context to context at random: with
    the copies on both sides of the split, R2 would be near the ceiling."""
    planted(tmp_path, contexts=24, copies=10, signal=0.0)
    assert train(tmp_path) == EXIT_DONE
    assert metrics(tmp_path)["per_length"]["10"]["test"]["r2"]["value"] < 0.1


def test_at_length_one_the_entropy_is_exact_and_the_hidden_vector_loses_to_it(trained: Path) -> None:
    scores = metrics(trained)["per_length"]
    one, ten = scores["1"], scores["10"]
    assert one["exact"]["r2"]["value"] == pytest.approx(one["ceiling"]["value"], abs=0.05)
    assert one["exact"]["mse"]["value"] == pytest.approx(1, abs=0.15)
    assert one["baselines"]["next_token_entropy"]["value"] == pytest.approx(one["exact"]["r2"]["value"], abs=0.02)
    gap = one["hidden_less"]["next_token_entropy"]
    expected = one["test"]["r2"]["value"] - one["baselines"]["next_token_entropy"]["value"]
    assert gap["value"] == pytest.approx(expected)
    assert gap["high"] < 0
    assert one["hidden_less"]["exact_log_expectation"]["high"] < 0
    assert ten["exact"] is None
    assert ten["beyond_entropy"]["low"] > 0.5
    assert one["beyond_entropy"]["low"] <= 0.01
    page = (trained / "tempnorm_ridge" / "RESULTS.md").read_text()
    assert "Against the next-token entropy alone the hidden vector loses at L = 1; wins at L = 10." in page
    assert "the exact expectation, alone the hidden vector loses at L = 1." in page


@pytest.mark.parametrize(("held_out", "contexts", "folds"), [(1, 6, 2), (2, 8, 2), (4, 16, 5), (5, 20, 5)])
def test_pages_of_few_held_out_contexts_claim_nothing(held_out: int, contexts: int, folds: int, tmp_path: Path) -> None:
    planted(tmp_path, contexts, copies=4)
    options = ["--test_fraction", str(held_out / contexts), "--folds", str(folds)]
    assert train(tmp_path, *options) == EXIT_DONE
    assert metrics(tmp_path)["held_out_contexts"] == held_out
    out = tmp_path / "tempnorm_ridge"
    check(out, held_out)
    page = (out / "RESULTS.md").read_text()
    assert ("too few to compare the hidden vector" in page) == (held_out < 5)
    assert (" loses at L" in page or " wins at L" in page) <= (held_out >= 5)


def test_few_contexts_are_refused_however_many_copies_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(tmp_path, contexts=5, copies=20)
    assert train(tmp_path) == EXIT_USER
    message = capsys.readouterr().err
    assert "100 starting points of 5 different contexts" in message
    assert "--folds" in message


def test_finished_training_leaves_no_checkpoint_and_stays_finished(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trained / "tempnorm_ridge"
    assert not list(out.rglob("*.ckpt"))
    assert not list(out.glob("checkpoints*"))
    (out / "checkpoints").mkdir()
    (out / "checkpoints" / "last.ckpt").write_bytes(b"left by a run that was killed behind its last line")
    assert train(trained, "--ckpt_path", "last") == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    assert not (out / "checkpoints").exists()


def test_every_length_exports_as_a_pipeline_that_predicts_the_same(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "models"
    argv = ["export", str(trained / "tempnorm_ridge"), "--format", "sklearn", "--out", str(out)]
    assert main(argv) == EXIT_DONE
    assert sorted(path.name for path in out.iterdir()) == [f"tempnorm_model_eval_{n}.pkl" for n in LENGTHS]
    x = np.random.default_rng(0).normal(size=(7, HIDDEN))
    for length in LENGTHS:
        pipeline = pickle.loads((out / f"tempnorm_model_eval_{length}.pkl").read_bytes())
        probe = load_probe(trained / "tempnorm_ridge" / f"eval_{length}", None)
        np.testing.assert_allclose(pipeline.predict(x), probe.predict(x, probe.targets[0]))
    assert main(argv) == EXIT_USER
