"""States in a file read as the array that they are, and probes of them are those of the array."""

from pathlib import Path

import numpy as np
import pytest
import torch
from probe_cases import PENALTIES, planted, trainer

from lit_experiments.probes.array_data import ArrayDataModule
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.scratch_states import ScratchDataModule, ScratchRows, ScratchStates

SPLIT = {
    "test_fraction": 0.3,
    "folds": 4,
    "split_seed": 0,
    "block_bytes": 7000,
    "shuffles": 1,
    "shuffle_seed": 0,
}


def written(folder: Path, x: np.ndarray) -> ScratchStates:
    """In pieces of three entries, in an order of their own."""
    states = ScratchStates(folder / "one.states", len(x), [f"l{i}" for i in range(x.shape[1])], x.shape[2])
    order = np.random.default_rng(3).permutation(len(x))
    assert not states.exist()
    states.write((order[start : start + 3], x[order[start : start + 3]]) for start in range(0, len(x), 3))
    return states


@pytest.fixture
def x() -> np.ndarray:
    return planted(rows=61, hidden=70, layers=3)[0].astype(np.float32)


def test_any_entries_of_any_layers_in_any_order(tmp_path: Path, x: np.ndarray) -> None:
    states = written(tmp_path, x)
    assert states.exist()
    assert [path.name for path in tmp_path.iterdir()] == ["one.states"]
    entries = np.array([5, 3, 4, 60, 0, 3])
    assert np.array_equal(states.read(entries, [2, 0]), x[entries][:, [2, 0]])
    assert states.read(np.zeros(0, np.int64), [1]).shape == (0, 1, 70)
    rows = ScratchRows(states, entries)
    assert np.array_equal(np.stack([*rows.by_layer(["l2", "l1"])], 1), x[entries][:, [1, 2]])
    states.forget()
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_cut_short_does_not_exist(tmp_path: Path, x: np.ndarray) -> None:
    states = written(tmp_path, x)
    with states.path.open("r+b") as file:
        file.truncate(states.nbytes - 4)
    assert not states.exist()
    with pytest.raises(OSError, match="ends too early"):
        states.read(np.array([60]), [2])


@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_probes_are_those_of_the_array(tmp_path: Path, x: np.ndarray, memory_bytes: int) -> None:
    y, groups = x[:, 1, :1].astype(np.float64), np.arange(61) // 2
    entries = np.random.default_rng(1).permutation(61)[:50]
    rows = ScratchRows(written(tmp_path, x), entries)
    mine = ScratchDataModule(rows, y[entries], groups[entries], ["y"], layers=["l1", "l2"], **SPLIT)
    theirs = ArrayDataModule(x[entries][:, 1:], y[entries], groups[entries], **SPLIT)
    solutions = []
    for data in (mine, theirs):
        probe = RidgeProbe(PENALTIES, memory_bytes=memory_bytes)
        trainer(tmp_path, max_epochs=-1).fit(probe, datamodule=data)
        solutions.append(probe.solution)
    assert mine.layers == ["l1", "l2"]
    torch.testing.assert_close(solutions[0].coef, solutions[1].coef, rtol=1e-9, atol=1e-12)
