"""Batches, backends, devices and interruptions change nothing."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED
from tests.collecting.conftest import Launcher, assert_same, content
from tests.experiments.activations.conftest import POSITIONS, RECORDS, collect, command, jsonl
from tests.tolerance import assert_close


@pytest.fixture(scope="module")
def options(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    records = [{**record, "text": f"{record['text']}{end}"} for record in RECORDS for end in ("", " So.")]
    table = jsonl(tmp_path_factory.mktemp("texts") / "t.jsonl", records)
    return {
        **{"model": llama, "texts": table, "positions": f"{POSITIONS[:-1]}, response, response_mean]"},
        **{"span_column": "spans", "generate": 4, "temperature": 1.0},
    }


@pytest.fixture(scope="module")
def run(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert collect(folder, **options, batch_size=2) == EXIT_DONE
    return folder


def test_hdf5_on_two_devices_gives_the_same_bits(run: Path, options: dict[str, Any], tmp_path: Path) -> None:
    assert collect(tmp_path, **options, batch_size=2, backend="hdf5", devices=2) == EXIT_DONE
    assert_same(content(run), content(tmp_path))


@pytest.mark.parametrize("size", [1, 8])
def test_batches_of_another_size_differ_by_rounding_alone(
    run: Path, options: dict[str, Any], tmp_path: Path, size: int
) -> None:
    assert collect(tmp_path, **options, batch_size=size) == EXIT_DONE
    two, other = content(run), content(tmp_path)
    for name in [name for name in two if name.startswith("hidden_")]:
        assert_close(other.pop(name), two.pop(name), stored=True)
    scores = (np.concatenate(table.pop("response_log_probs")) for table in (other, two))
    assert_close(*scores, scale=30.0)
    del two["certificate"], other["certificate"]  # of every bit
    assert_same(two, other)


def test_killed_again_and_again_it_ends_like_a_run_never_disturbed(
    launcher: Launcher, run: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    argv = command(tmp_path, **options, batch_size=2, flush_seconds=0.02)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        assert launcher.interrupt_commit(argv, number, tmp_path) in (-number, EXIT_STOPPED, EXIT_DONE)
    assert launcher.run(argv) == EXIT_DONE
    assert_same(content(run), content(tmp_path))
    assert stores.verify(tmp_path / "store") == []
