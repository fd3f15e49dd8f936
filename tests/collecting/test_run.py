"""Collections that go wrong: memory runs out, the model computes NaN, the disk is full or too small, a thread fails."""

import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

import stores
from benchmarks.fork_server import ForkServer
from lit_experiments.collecting.budget import payload_bytes
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.run import RunSettings, collect
from lit_experiments.collecting.samples import totals
from lit_experiments.errors import EXIT_DONE, EXIT_USER, RunFailed, UserError
from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from stores import Column, Field, Records, Schema
from tests.collecting.conftest import Launcher, assert_same, content
from tests.tolerance import assert_close
from tests.toys import random_llama

ROOT = Path(__file__).resolve().parents[2]


class States(Collector):
    """The residual stream of sequences of different lengths, with a memory limit that the test sets."""

    def __init__(self, spec: ModelSpec, fits: int = 100, count: int = 12) -> None:
        super().__init__(spec)
        self.fits, self.count, self.calls = fits, count, []

    def samples(self) -> Sequence[Sample]:
        texts = [[(7 * i + j) % 256 for j in range(3 + i)] for i in range(self.count)]
        return [Sample(f"text-{i}", i, len(t), t, {"token": len(t)}) for i, t in enumerate(texts)]

    def schema(self) -> Schema:
        shape = (3, None, self.info.d_model)
        field = Field("resid", ("layer", "token", "hidden"), shape, "float16", "", "residual stream after each block")
        return Schema((field,), (Column("n", "int64", "tokens"),), {"layer": self.settings()["sites"]})

    def settings(self) -> dict[str, Any]:
        return {"sites": [f"resid_post.{i}" for i in range(3)]}

    def collect(self, batch: Sequence[Sample]) -> Records:
        self.calls.append(len(batch))
        if len(batch) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        captured = capture(self.lm, [s.payload for s in batch], self.settings()["sites"])
        rows = [{"sample_id": s.sample_id, "sample_index": s.index, "n": s.tokens} for s in batch]
        arrays, exponents = {"resid": captured.values.numpy()}, {"resid": captured.exponents.numpy()}
        return Records(rows, arrays, {"token": captured.lengths.numpy()}, exponents)


def settings(run: Path, **changes: Any) -> RunSettings:
    base = {"run": run, "backend": "zarr", "batch_tokens": 10_000, "batch_size": 6, "flush_bytes": 10**6}
    base |= {"flush_seconds": 5.0, "limit": None, "trainer": {"devices": 1, "accelerator": "cpu"}}
    return RunSettings(**{**base, **changes})


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = random_llama(tmp_path_factory.mktemp("model"), seed=1)
    return ModelSpec(str(folder), None, None, "float32", "auto")


def test_a_batch_that_does_not_fit_is_halved_and_the_rows_are_the_same(spec: ModelSpec, tmp_path: Path) -> None:
    short = States(spec, fits=2)
    assert collect(short, settings(tmp_path / "short")) == 12
    assert collect(States(spec), settings(tmp_path / "long")) == 12
    assert short.calls == [6, 3, 1, 2, 3, 1, 2] * 2
    assert short.halvings == 6
    one, other = content(tmp_path / "short"), content(tmp_path / "long")
    assert_close(one.pop("resid"), other.pop("resid"), stored=True)
    del one["certificate"], other["certificate"]  # of every bit
    assert_same(one, other)


def test_memory_too_short_for_a_single_sample_is_an_error(spec: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        collect(States(spec, fits=0), settings(tmp_path / "run"))


def test_ragged_states_come_back_whole_and_in_order(spec: ModelSpec, tmp_path: Path) -> None:
    collect(States(spec), settings(tmp_path / "run"))
    store = stores.open_store(tmp_path / "run" / "store")
    assert store["resid"].lengths().tolist() == list(range(3, 15))
    whole = store["resid"].read()
    one = store["resid"].read(rows=[4])
    start = sum(range(3, 7))
    np.testing.assert_array_equal(whole[:, start : start + 7], one)


def test_the_size_estimate_is_the_payload(spec: ModelSpec, tmp_path: Path) -> None:
    states = States(spec)
    collect(states, settings(tmp_path / "run"))
    tokens = sum(range(3, 15))
    assert payload_bytes(states.schema(), totals(states.samples())) == tokens * 3 * (32 * 2 + 1)


def test_nan_from_the_model_names_sample_and_site_and_keeps_what_came_before(tmp_path: Path) -> None:
    folder = random_llama(tmp_path / "model", seed=2)
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = torch.nan  # the first token of text-1 only
    model.save_pretrained(folder)
    spec = ModelSpec(str(folder), None, None, "float32", "auto")

    class Careful(States):
        def samples(self) -> Sequence[Sample]:
            texts = [[10, 11, 12], [7, 11, 12]]
            return [Sample(f"text-{i}", i, 3, t, {"token": 3}) for i, t in enumerate(texts)]

    with pytest.raises(RunFailed, match=r"text-1.*resid_post\.0, position 0"):
        collect(Careful(spec), settings(tmp_path / "run", batch_size=1))
    assert stores.open_store(tmp_path / "run" / "store").sample_ids == ["text-0"]


def test_a_text_that_outgrows_the_window_while_it_is_continued_is_named(spec: ModelSpec, tmp_path: Path) -> None:
    class Continued(States):
        def collect(self, batch: Sequence[Sample]) -> Records:
            assert self.info.window is not None
            decoder = Decoder(self.lm)
            state = decoder.prefill([sample.payload for sample in batch]).fork(2)
            keys = [StreamKey(0, sample.sample_id, draw) for sample in batch for draw in range(2)]
            decoder.sample(state, self.info.window - 13, Sampling(0.0, 1.0, 0), keys)  # all but the last have room
            raise AssertionError("the window holds them all")

    with pytest.raises(ModelError, match=r"^Sample text-11: .*window"):
        collect(Continued(spec), settings(tmp_path / "run", batch_size=12))


def test_states_beyond_float16_are_stored_to_a_thousandth(tmp_path: Path) -> None:
    folder = random_llama(tmp_path / "model", seed=3)
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.embed_tokens.weight *= 1e6
    model.save_pretrained(folder)
    spec = ModelSpec(str(folder), None, None, "float32", "auto")
    states = States(spec)
    collect(states, settings(tmp_path / "run"))
    stored = stores.open_store(tmp_path / "run" / "store")["resid"].read(rows=[11])
    with torch.inference_mode():
        out = states.lm.model(torch.tensor([states.samples()[11].payload]), output_hidden_states=True)
    true = torch.stack(out.hidden_states[1:3])[:, 0].numpy()  # the last one is after the final norm
    largest = np.abs(true).max(-1, keepdims=True)
    assert largest.min() > 65504
    assert (np.abs(stored[:2] - true) <= largest * 2.0**-10).all()


def test_a_disk_without_the_room_is_refused_before_anything_runs(spec: ModelSpec, tmp_path: Path) -> None:
    class Huge(States):
        def samples(self) -> Sequence[Sample]:
            return [Sample("text-0", 0, 3, [1, 2, 3], {"token": 10**14})]

    with pytest.raises(UserError, match="Not enough room"):
        collect(Huge(spec), settings(tmp_path / "run"))


def test_a_failing_writer_stops_the_run_at_once(
    spec: ModelSpec, tmp_path: Path, fork_server: Callable[[], ForkServer]
) -> None:
    """The disk takes no file over 3 kB; what was committed before stays, and the run resumes with more room."""
    run = tmp_path / "run"
    assert collect(States(spec, count=60), settings(run, batch_size=1, limit=5)) == 5
    code = f"""
import resource, sys
from tests.collecting.test_run import *
spec = ModelSpec({spec.model!r}, None, None, "float32", "auto")
states = States(spec, count=60)
try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    collect(states, settings(Path({str(run)!r}), batch_size=1, flush_bytes=2000))
except stores.WriteFailed as error:
    print("calls", len(states.calls))
    print(error, file=sys.stderr)
"""
    script = tmp_path / "small_disk.py"
    script.write_text(code)
    done = fork_server().run([str(script)], ROOT)
    assert "this writer committed are whole" in done.stderr, done.stderr
    calls = int(done.stdout.split("calls")[1])
    kept = stores.open_store(run / "store").sample_ids
    assert len(kept) >= 5
    assert calls < 55
    assert collect(States(spec, count=60), settings(run, batch_size=1)) == 60
    assert set(kept) <= set(stores.open_store(run / "store").sample_ids)
    assert stores.verify(run / "store") == []


def test_a_second_collection_into_the_same_store_waits_or_is_refused(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    collect(States(spec), settings(run, limit=3))
    monkeypatch.setattr("lit_experiments.collecting.run._LOCK_PATIENCE", 0.1)
    holder = "import stores.lock as l, sys, time; l.exclusive(sys.argv[1], 1); print(1, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", holder, str(run / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(stores.LockedError, match=str(other.pid)):
            collect(States(spec), settings(run))
        other.kill()
    assert collect(States(spec), settings(run)) == 12


def test_two_devices_give_what_one_gives(launcher: Launcher, toy: list[str], tmp_path: Path) -> None:
    assert launcher.run([*toy, "--run", str(tmp_path / "one")]) == EXIT_DONE
    assert launcher.run([*toy, "--run", str(tmp_path / "two"), "--devices", "2"]) == EXIT_DONE
    assert_same(content(tmp_path / "one"), content(tmp_path / "two"))


def test_more_devices_than_there_are(launcher: Launcher, toy: list[str], tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    assert launcher.run([*toy, "--run", str(tmp_path / "run"), "--devices", str(cores + 1)]) == EXIT_USER
    assert f"there are {cores} CPU cores here" in launcher.log.read_text()
    assert not (tmp_path / "run").exists()


def test_a_dry_run_keeps_nothing_and_says_what_it_would_take(
    launcher: Launcher, toy: list[str], tmp_path: Path
) -> None:
    assert launcher.run([*toy, "--run", str(tmp_path / "run"), "--dry_run"]) == EXIT_DONE
    log = launcher.log.read_text()
    for part in ("samples            40 in 20 batches", "bytes on disk", "memory", "time", "Nothing was kept"):
        assert part in log
    assert not (tmp_path / "run").exists()


def test_restart_sets_the_old_store_aside(launcher: Launcher, toy: list[str], tmp_path: Path) -> None:
    argv = [*toy, "--run", str(tmp_path / "run"), "--limit", "4"]
    assert launcher.run(argv) == EXIT_DONE
    assert launcher.run([*argv, "--alpha", "2"]) == EXIT_USER
    assert "settings.alpha: stored 4.0, now 2.0" in launcher.log.read_text()
    assert launcher.run([*argv, "--alpha", "2", "--restart"]) == EXIT_DONE
    assert len(stores.open_store(tmp_path / "run" / "store.old-1")) == 4
    assert stores.open_store(tmp_path / "run" / "store").fingerprint["settings"]["alpha"] == 2.0


def test_memory_does_not_grow_with_the_number_of_samples(spec: ModelSpec, tmp_path: Path) -> None:
    """By what is alive at the same time: a batch's records must be gone soon after its commit."""
    alive: list[weakref.ref[Any]] = []
    most = []

    class Counting(States):
        def collect(self, batch: Sequence[Sample]) -> Records:
            records = super().collect(batch)
            alive.append(weakref.ref(records.arrays["resid"]))
            most.append(sum(array() is not None for array in alive))
            return records

    collect(Counting(spec, count=60), settings(tmp_path / "run", batch_size=1, flush_bytes=1))
    assert len(most) == 60
    assert max(most) <= 6


@pytest.mark.parametrize("name", ["batch_tokens", "batch_size", "flush_bytes", "flush_seconds", "limit"])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be at least"):
        settings(tmp_path, **{name: 0})


def test_a_folder_that_cannot_be_written_is_one_message(launcher: Launcher, toy: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert launcher.run([*toy, "--run", str(tmp_path / "file" / "run")]) == EXIT_USER
    assert "Next: choose a folder with --run DIR." in launcher.log.read_text()
