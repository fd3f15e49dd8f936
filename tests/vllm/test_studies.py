"""Collections with `--engine vllm`, by command: what they hold is what the transformers engine's hold."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stores
from lit_experiments.cli import main
from tests.vllm.conftest import ROOT, Collect

FAST = ("--engine", "vllm")
pytestmark = pytest.mark.timeout(900)  # vLLM takes half a minute to start, on a busy machine minutes
ROUNDING = 2.0**-10  # of float16, both stores' together, relative to a site's largest value


def pair(collect: Collect, folder: Path, exp: str, *options: str, fast: tuple[str, ...] = ()) -> list[stores.Store]:
    """The same collection by the transformers engine and by vLLM's."""
    assert main(["collect", "--exp", exp, "--run", str(folder / "exact"), *options]) == 0
    done = collect(exp, folder / "fast", *options, *FAST, *fast)
    opened = [stores.open_store(folder / name / "store") for name in ("exact", "fast")]
    assert opened[0].sample_ids == opened[1].sample_ids
    assert "engine" not in opened[0].fingerprint["model"]
    assert opened[1].fingerprint["model"]["engine"]["name"] == "vllm"
    close = re.search(r"vLLM sampled ([\d,]+) tokens; ([\d,]+) of the choices", done.stderr)
    assert close is None or int(close[2].replace(",", "")) <= 2, "else compare what follows by hand"
    return opened


def same_states(exact: stores.Store, fast: stores.Store, field: str) -> None:
    """Equal up to one float16 rounding, row by row."""
    for one, other in zip(exact.iter_rows([field]), fast.iter_rows([field]), strict=True):
        expected, state = (np.asarray(row[field], dtype=np.float64) for row in (one, other))
        assert state.shape == expected.shape
        assert np.abs(state - expected).max() <= ROUNDING * np.abs(expected).max()


def same_tokens(exact: stores.Store, fast: stores.Store, column: str) -> None:
    """But for texts that a close choice turned, of which `pair` allows two."""
    one, other = (store.to_pandas().set_index("sample_id")[column].map(list) for store in (exact, fast))
    assert int((one != other).sum()) <= 2


def test_study_1_samples_the_same_continuations(collect: Collect, tmp_path: Path) -> None:
    exact, fast = pair(collect, tmp_path, "tempnorm", "--limit", "4", "--gen_number", "4")
    tokens = [store["token_ids"].read() for store in (exact, fast)]
    parted = (tokens[0] != tokens[1]).any(axis=(1, 2))
    assert parted.sum() <= 1
    assert tokens[0].shape == (4, 4, 40)
    same_states(exact, fast, "starting_hidden")
    scores = [store["log_probs"].read()[~parted] for store in (exact, fast)]
    assert np.abs(scores[0] - scores[1]).max() < 1e-4


def test_study_2_writes_and_reads_the_same_texts_split_over_two_workers(collect: Collect, tmp_path: Path) -> None:
    options = ("--n_samples", "2", "--max_new_tokens", "20")
    exact, fast = pair(collect, tmp_path, "prefill_dynamics", *options, fast=("--tensor_parallel", "2"))
    assert fast.fingerprint["model"]["engine"]["tensor_parallel"] == 2
    same_tokens(exact, fast, "input_ids")
    same_states(exact, fast, "resid_post")
    same_states(exact, fast, "ce")


def test_study_3_with_an_adapter_and_sampled_output(collect: Collect, tmp_path: Path) -> None:
    options = ("--limit", "3", "--adapter", "embedded", "--temperature", "1.0", "--max_new_tokens", "4")
    exact, fast = pair(collect, tmp_path, "introspection", *options)
    same_states(exact, fast, "resid_post")
    probs = [np.stack(list(store.to_pandas()["probs"].map(np.asarray))[:3]) for store in (exact, fast)]
    assert np.abs(probs[0] - probs[1]).max() < 1e-4
    outputs = [store.to_pandas()["output_text"] for store in (exact, fast)]
    assert isinstance(outputs[0], pd.Series)
    assert int((outputs[0] != outputs[1]).sum()) <= 1


def test_killed_and_resumed_it_has_the_certificate_of_an_undisturbed_run(collect: Collect, tmp_path: Path) -> None:
    options = ("--limit", "24", "--gen_number", "4", "--batch_size", "1", "--flush_seconds", "0.01", *FAST)
    collect("tempnorm", tmp_path / "whole", *options)
    command = [sys.executable, "-m", "lit_experiments.cli", "collect", "--exp", "tempnorm", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, "--run", str(tmp_path / "killed")], env=env, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 600
        while not list(tmp_path.glob("killed/store/parts/*/rows-*")) and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    committed = len(stores.open_store(tmp_path / "killed" / "store"))
    assert 0 < committed < 24
    collect("tempnorm", tmp_path / "killed", *options)
    whole, killed = (stores.certify(stores.open_store(tmp_path / name / "store")).root for name in ("whole", "killed"))
    assert killed == whole


def test_no_other_engine_continues_a_store(collect: Collect, tmp_path: Path) -> None:
    options = ("--limit", "4")
    assert main(["collect", "--exp", "activations", "--run", str(tmp_path / "run"), *options]) == 0
    refused = collect("activations", tmp_path / "run", *options, *FAST, code=2)
    assert "model.engine" in refused.stderr
    assert len(stores.open_store(tmp_path / "run" / "store")) == 4


@pytest.mark.parametrize("exp", ["path_sensitivity", "sampling_variance", "attribution"])
def test_studies_that_reach_into_the_model_are_refused_by_name(
    exp: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", "--exp", exp, *FAST, "--run", str(tmp_path / "run")]) == 2
    assert "vllm engine" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
