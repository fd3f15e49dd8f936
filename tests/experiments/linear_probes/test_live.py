"""Probes from states that are computed while training equal those from stored states, number for number."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer

from lit_experiments.cli import main
from lit_experiments.cli.parser import resolve, select
from lit_experiments.embedded.contexts import contexts
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError
from lit_experiments.experiments.linear_probes.result import LinearProbesResult
from lit_experiments.experiments.linear_probes.states import LiveDataModule, Passes, shares_by_batch, stored
from lit_experiments.experiments.linear_probes.study import read_study
from lit_experiments.experiments.linear_probes.task import LinearProbes
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.tasks.live_states import LiveStore, with_states
from stores import open_store
from tests.experiments.linear_probes.written import result_of, train

ROWS = 90
POSITIONS = "[last, mean, first, max, last_3, spans, response, response_mean]"
COLLECTION = {
    "text_column": "body",
    "span_column": "spans",
    "positions": POSITIONS,
    "sites": "[resid_post.0, resid_post.3, final_norm]",
    "generate": "3",
    "label_columns": "[kind, size, score]",
    "batch_tokens": "400",
}
OPTIONS = ["--fields", "hidden_last", "hidden_mean", "--twin", "false"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts with two kinds, two sizes, some missing, and a number."""
    path = tmp_path_factory.mktemp("live") / "texts.csv"
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["body", "kind", "size", "score", "spans"])
        for number, text in enumerate(contexts()[:ROWS]):
            kind = "" if number % 11 == 5 else "ab"[len(text) % 2]
            size = "long" if len(text) > 60 else "short"
            rows.writerow([text, kind, size, len(text) + rng.random(), json.dumps([[0, 2, "start"], [1, 2, "next"]])])
    return path


@pytest.fixture(scope="module")
def runs(table: Path) -> tuple[Path, Path]:
    """(with states, of texts alone that is trained from live)."""
    kept, live = table.parent / "kept", table.parent / "live"
    words = [f"--{name}={value}" for name, value in COLLECTION.items()]
    collect = ["collect", "--exp", "activations", "--texts", str(table), "--run", str(kept), "--accelerator", "cpu"]
    assert main([*collect, *words]) == EXIT_DONE
    assert train(kept, *OPTIONS, "--method", "lda", "--target", "kind", "size") == EXIT_DONE
    nested = [f"--live.{name}={value}" for name, value in COLLECTION.items()]
    texts = ["--live.texts", str(table)]
    assert train(live, *texts, *nested, *OPTIONS, "--target", "kind", "size") == EXIT_DONE
    return kept, live


def numbers(value: Any) -> list[float]:
    """All numbers of a result, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def assert_same(first: LinearProbesResult, second: LinearProbesResult) -> None:
    one, other = (numbers(dataclasses.asdict(result)) for result in (first, second))
    assert len(one) > 50
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
    assert [target.verdict for target in first.targets] == [target.verdict for target in second.targets]


def test_nothing_of_the_states_is_stored(runs: tuple[Path, Path]) -> None:
    kept, live = (open_store(run / "store") for run in runs)
    assert [field.name for field in kept.schema.fields] == [f"hidden_{name}" for name in POSITIONS[1:-1].split(", ")]
    assert live.schema.fields == ()
    assert live.table().drop_columns("input_digest").equals(kept.table().drop_columns("input_digest"))
    files = [path for path in (runs[1] / "store").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 200_000


def test_every_field_reads_as_it_would_have_been_stored(runs: tuple[Path, Path]) -> None:
    """Also selected, by position, one site, out of order."""
    kept, live = open_store(runs[0] / "store"), with_states(open_store(runs[1] / "store"))
    assert live.schema.fields == kept.schema.fields
    assert live.schema.coords == kept.schema.coords
    rows = np.array([70, 3, 4, 88, 3])
    for field in kept.schema.fields:
        there, here = kept.field(field.name), live.field(field.name)
        np.testing.assert_array_equal(here.lengths(), there.lengths())
        np.testing.assert_array_equal(here.read(), there.read())
        some = live.select(rows).field(field.name)
        np.testing.assert_array_equal(some.read(site=2), kept.select(rows).field(field.name).read(site=2))
        places = np.array([some.shape[1] - 1, 0, 2])
        picked = kept.select(rows).field(field.name).gather(places, site=[2, 1])
        np.testing.assert_array_equal(some.gather(places, site=[2, 1]), picked)


def test_lda_is_what_auto_takes_and_equals_that_of_stored_states(runs: tuple[Path, Path]) -> None:
    kept, live = (result_of(run) for run in runs)
    assert {target.method for target in live.targets} == {"lda"}
    assert_same(live, kept)
    for name in ("kind", "size"):
        weights = [run / "linear_probes" / name / "probe.safetensors" for run in runs]
        assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize(("method", "target"), [("ridge", "score"), ("mean_difference", "kind")])
def test_other_methods_equal_those_of_stored_states(runs: tuple[Path, Path], method: str, target: str) -> None:
    """The second training of a run reads the texts that are there."""
    for run in runs:
        assert train(run, *OPTIONS, "--method", method, "--target", target) == EXIT_DONE
    assert_same(*(result_of(run) for run in runs))


def test_a_live_fit_that_is_stopped_goes_on_where_it_was(runs: tuple[Path, Path], tmp_path: Path) -> None:
    probes = [RidgeProbe([1.0, 100.0]) for _ in range(3)]
    whole, broken, resumed = (live_data(runs[1]) for _ in probes)
    quiet = {"max_epochs": -1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "devices": 1, "enable_checkpointing": False, "use_distributed_sampler": False}
    Trainer(**quiet).fit(probes[0], datamodule=whole)
    assert len(whole.plan) > 4
    assert {len(np.unique(whole._batches(rows))) for rows in whole.plan} == {1}
    stopped = Trainer(**{**quiet, "max_steps": 3})
    stopped.fit(probes[1], datamodule=broken)
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    Trainer(**quiet).fit(probes[2], datamodule=resumed, ckpt_path=tmp_path / "part.ckpt", weights_only=True)
    np.testing.assert_array_equal(probes[2].solution.coef, probes[0].solution.coef)


def live_data(run: Path) -> LiveDataModule:
    """Rows of the target "score", in blocks of a few."""
    settings = {"target": "[score]", "folds": 3, "method": "ridge"}
    study = read_study(run, open_store(run / "store"), task_of(**settings).study_options())
    problem = study.problems[0]
    field = next(field for field in problem.fields if field.name == "hidden_mean")
    data = stored(study.store, field, problem, Passes(3, 0, 40_000))(problem.columns, ["score"])
    assert isinstance(study.store, LiveStore)
    assert isinstance(data, LiveDataModule)
    return data


def task_of(**settings: Any) -> LinearProbes:
    words = [f"--{name}={value}" for name, value in settings.items()]
    return LinearProbes(**resolve("train", select("train", ["--exp", "linear_probes", *words])).init_args)


def test_a_batch_is_read_by_one_process() -> None:
    batch = np.array([0, 0, 0, 1, 1, 2, 4])
    shares = shares_by_batch([0, 1, 2, 5, 6, 7, 9], batch, 2)
    assert shares == [[0, 1, 2, 7], [5, 6, 9, -1]]
    assert shares_by_batch([], np.zeros(0, np.int64), 3) == [[-1], [-1], [-1]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "logistic"], "--method lda"),
        (["--live.positions", "lst"], 'positions: there is no "lst"'),
        (["--live.txts", "a"], '--live: Unknown option "--txts"'),
        (["--live.run", "a"], "--live.run is not taken"),
        (["--live.generate", "7"], "response.tokens"),
    ],
)
def test_mistakes_are_named(
    runs: tuple[Path, Path], table: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    nested = [f"--live.{name}={value}" for name, value in COLLECTION.items()]
    live = ["--live.texts", str(table), *nested] if options[0].startswith("--live") else []
    assert train(runs[1], *live, *options, *OPTIONS) == EXIT_USER
    assert words in capsys.readouterr().err


def test_another_model_under_the_same_name_is_refused(runs: tuple[Path, Path]) -> None:
    store = open_store(runs[1] / "store")
    store.fingerprint = {**store.fingerprint, "model": {**store.fingerprint["model"], "prefix": [7]}}
    with pytest.raises(UserError, match="is not the model"):
        with_states(store)
