"""Training study 1 from a store: what it writes, that it can be trusted, that it is not done twice."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.probes.save import load_probe
from stores import Column, Field, PartWriter, Records, Schema

LENGTHS = [1, 10]
ROWS, DRAWS, HIDDEN = 240, 6, 12


def planted(run: Path, signal: float, rows: int = ROWS) -> np.ndarray:
    """A tempnorm store: log-tempnorm is linear in the hidden vector, plus unit noise. Returns the weights."""
    rng = np.random.default_rng(5)
    hidden = rng.normal(size=(1, rows, HIDDEN)).astype(np.float32)
    weights = signal * rng.normal(size=(HIDDEN, len(LENGTHS)))
    logs = -20 + (hidden[0] @ weights)[:, None] + rng.normal(size=(rows, DRAWS, len(LENGTHS)))
    mean = np.log(np.exp(logs).mean(1))
    fields = (
        Field("starting_hidden", ("layer", "sample", "hidden"), (1, None, HIDDEN), "float32", "", ""),
        Field("log_tempnorm", ("sample", "generation", "eval_length"), (None, DRAWS, 2), "float64", "nats", ""),
        Field("log_tempnorm_mean", ("sample", "eval_length"), (None, 2), "float64", "nats", ""),
    )
    names = ("prefix_length", "next_token_entropy", "log_one_step")
    columns = tuple(Column(name, "float64", "") for name in names)
    schema = Schema(fields, columns, {"layer": ["final_norm"], "eval_length": LENGTHS})
    settings = {"gen_length": 10, "initial_wander": 0, "alpha": 4.0, "sites": ["final_norm"]}
    stores.create_store(run / "store", schema, {"settings": settings}, {}, "zarr")
    table = [
        {"sample_id": f"s{i}", "sample_index": i, **dict(zip(names, rng.normal(size=3).tolist(), strict=True))}
        for i in range(rows)
    ]
    arrays = {"starting_hidden": hidden, "log_tempnorm": logs, "log_tempnorm_mean": mean}
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        writer.append(Records(table, arrays, {}, {}))
    return weights


def train(run: Path, *options: str) -> int:
    argv = ["train", "--exp", "tempnorm_ridge", "--run", str(run), "--bootstraps", "200", "--shuffles", "19"]
    return main([*argv, "--accelerator", "cpu", *options])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    run = tmp_path_factory.mktemp("trained")
    weights = planted(run, signal=1.0)
    assert train(run) == EXIT_DONE
    return run / "tempnorm_ridge", weights


def test_every_output_is_there(trained: tuple[Path, np.ndarray]) -> None:
    out, _ = trained
    names = {p.name for p in out.iterdir()}
    expected = {"metrics.json", "results.json", "RESULTS.md", "report.html", "config.yaml", "result.json", "page.json"}
    expected |= {"figures", "data"}
    expected |= {f"eval_{n}" for n in LENGTHS} | {f"split_eval_{n}.json" for n in LENGTHS}
    assert expected <= names


def test_a_planted_linear_target_is_recovered_up_to_its_ceiling(trained: tuple[Path, np.ndarray]) -> None:
    out, weights = trained
    metrics = json.loads((out / "metrics.json").read_text())
    for at, length in enumerate(LENGTHS):
        result = metrics["per_length"][str(length)]
        probe = load_probe(out / f"eval_{length}", None)
        direction = probe.weights[0] / probe.scale[0]
        assert np.corrcoef(direction, weights[:, at])[0, 1] > 0.99
        r2, ceiling = result["test"]["r2"], result["ceiling"]
        assert r2["low"] < r2["value"] < r2["high"]
        assert r2["n"] == 60
        share = weights[:, at] @ weights[:, at] / (weights[:, at] @ weights[:, at] + 1)
        assert ceiling["low"] < share < ceiling["high"]
        assert result["of_ceiling"]["value"] == pytest.approx(1, abs=0.05)
        assert all(b["value"] < 0.1 for b in result["baselines"].values())
        assert max(result["shuffled"]["r2"]) < 0.2
        assert result["starting_point_mean"]["test"]["r2"]["value"] > r2["value"]


def test_splits_are_by_starting_point_and_complete(trained: tuple[Path, np.ndarray]) -> None:
    split = json.loads((trained[0] / "split_eval_10.json").read_text())
    assert not set(split["train"]) & set(split["test"])
    assert sorted(split["train"] + split["test"]) == sorted(f"s{i}" for i in range(ROWS))
    assert len(split["test"]) == ROWS // 4


def test_probe_exports_as_a_scikit_learn_pipeline(trained: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    out, _ = trained
    target = tmp_path / "ridge.joblib"
    assert main(["export", str(out / "eval_10"), "--format", "sklearn", "--out", str(target)]) == EXIT_DONE
    (pipeline,) = joblib.load(target).values()
    probe = load_probe(out / "eval_10", None)
    x = np.random.default_rng(0).normal(size=(5, HIDDEN))
    np.testing.assert_allclose(pipeline.predict(x), probe.predict(x, probe.targets[0]))


def test_finished_results_are_shown_again_not_made_again(
    trained: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = trained
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert train(out.parent) == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


def test_other_settings_set_the_old_results_aside(tmp_path: Path) -> None:
    planted(tmp_path, signal=1.0, rows=60)
    assert train(tmp_path) == EXIT_DONE
    first = (tmp_path / "tempnorm_ridge" / "metrics.json").read_text()
    assert train(tmp_path, "--seed", "3") == EXIT_DONE
    assert (tmp_path / "tempnorm_ridge.old-1" / "metrics.json").read_text() == first
    assert (tmp_path / "tempnorm_ridge" / "metrics.json").read_text() != first


def test_pure_noise_gives_no_false_discovery(tmp_path: Path) -> None:
    planted(tmp_path, signal=0.0)
    assert train(tmp_path) == EXIT_DONE
    metrics = json.loads((tmp_path / "tempnorm_ridge" / "metrics.json").read_text())
    for result in metrics["per_length"].values():
        assert result["test"]["r2"]["low"] <= 0.0
        assert result["test"]["r2"]["value"] < 0.02


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda run: None, ["holds no store to learn from", "collect.py --exp tempnorm"]),
        (lambda run: planted(run, 1.0, rows=8), ["holds 8 starting points", "--folds"]),
    ],
)
def test_a_run_that_cannot_be_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, parts: list[str]
) -> None:
    make(tmp_path)  # type: ignore[operator]
    assert train(tmp_path) == EXIT_USER
    message = capsys.readouterr().err
    for part in parts:
        assert part in message
