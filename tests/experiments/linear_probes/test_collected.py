"""After `collect --exp activations`: a bare training works, and the random-weights twin reads the very tokens."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.controls.fields import state_fields
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.linear_probes.twin import (
    TwinOptions,
    TwinPlan,
    entries_before,
    twin_plan,
    twin_states,
)
from lit_experiments.lm.capture import capture
from lit_experiments.lm.load import load_untrained
from lit_experiments.tasks.random_twin import model_of
from stores import open_store
from tests.experiments.linear_probes.written import result_of, target_of, train

OPTIONS = TwinOptions(seed=0, count=1, batch_tokens=4096, accelerator="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected") / "run"
    collect = ["collect", "--exp", "activations", "--run", str(folder), "--positions", "[last, first, mean, max, all]"]
    assert main([*collect, "--limit", "90", "--accelerator", "cpu"]) == EXIT_DONE
    return folder


def test_a_bare_training_reads_what_the_collection_declares(run: Path) -> None:
    options = ["--fields", "hidden_last", "hidden_mean", "--target", "difficulty"]
    assert train(run, *options) == EXIT_DONE
    target = target_of(run, "difficulty")
    assert {curve.field for curve in target.curves} == {"hidden_last", "hidden_mean"}
    assert target.twin is not None
    assert len(target.twin.by_layer) == len(target.curves[0].layers)
    assert "question_id" in result_of(run).split.by
    assert (run / "linear_probes" / "report.html").is_file()
    assert not list((run / "linear_probes").glob("twin-*"))
    other = next(curve.field for curve in target.curves if curve.field != target.field)
    assert (run / "linear_probes" / "difficulty" / other / target.layer / "probe.json").is_file()


@pytest.mark.parametrize("name", ["hidden_last", "hidden_first", "hidden_mean", "hidden_max", "hidden_all"])
def test_the_twin_reads_the_tokens_of_the_field(run: Path, tmp_path: Path, name: str) -> None:
    store = open_store(run / "store")
    (field,) = state_fields(store, [name], None)
    plan = twin_plan(store, field)
    assert isinstance(plan, TwinPlan)
    states = twin_states(store, field, plan, OPTIONS, tmp_path)
    assert not isinstance(states, str)
    assert states.entries == store.field(name).lengths().sum()
    lm = load_untrained(model_of(store), "cpu", 0)
    row = store.table(["input_ids", "char_start", "char_end"]).to_pylist()[17]
    captured = capture(lm, [row["input_ids"]], field.layers)
    every = captured.values.float().numpy() * np.exp2(captured.exponents.numpy()[..., None].astype(np.float32))
    text = [place for place, (a, b) in enumerate(zip(row["char_start"], row["char_end"], strict=True)) if b > a]
    expected = {
        "hidden_last": every[:, -1:],
        "hidden_first": every[:, text[:1]],
        "hidden_mean": every[:, text].mean(1, keepdims=True),
        "hidden_max": every[:, text].max(1, keepdims=True),
        "hidden_all": every,
    }[name].swapaxes(0, 1)
    entries = entries_before(plan)[17] + np.arange(len(expected))
    twin = states.read(entries, list(range(len(field.layers))))
    np.testing.assert_allclose(twin, expected, rtol=2e-3, atol=2e-3)


def test_a_twin_that_the_disk_lacks_room_for_is_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(run / "store")
    (field,) = state_fields(store, ["hidden_all"], None)
    plan = twin_plan(store, field)
    assert isinstance(plan, TwinPlan)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 10, 10))
    assert "states of hidden_all take" in str(twin_states(store, field, plan, OPTIONS, tmp_path))
    assert not list(tmp_path.iterdir())
