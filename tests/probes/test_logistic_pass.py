"""The passes as Lightning runs them: order, blocks, memory, resume, two processes."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from logistic_cases import classed, fit_classes, usual
from test_ridge_pass import Interrupted, StopAfter

from lit_experiments.probes import training
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.training import fit

GRID = [1e-2, 1e-1]
TENSORS = ("mean", "scale", "coef", "intercept", "cv_loss", "penalty_index", "layer_index")
TIGHT = {"tolerance": 1e-14}


def data(**settings):
    x, y, _ = classed(rows=240)
    return usual(x, y, np.arange(240) // 2, **({"shuffles": 1, "block_bytes": 60 * 2 * 8 * 4} | settings))


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)


def close(a, b, x):
    """Probabilities of both solutions at every layer, and held-out losses, within 1e-6."""
    whole = data()
    whole.setup()
    for layer in whole.layers:
        ours, theirs = (ClassProbe.of(s, whole, {}, {}, layer).predict_proba(x) for s in (a, b))
        assert np.abs(ours - theirs).max() < 1e-6
    assert (a.cv_loss - b.cv_loss).abs().max() < 1e-6


def test_block_size_row_order_and_memory_do_not_change_the_result(tmp_path):
    x, y, _ = classed(rows=240)
    groups = np.array([f"g{i // 2:03d}" for i in range(240)])
    plain = {"shuffles": 0, "block_bytes": 1 << 20}
    base = fit_classes(usual(x, y, groups, **plain), tmp_path, GRID, 3, **TIGHT).solution
    order = np.random.default_rng(0).permutation(240)
    moved = usual(x[order], y[order], groups[order], **plain)
    others = [
        fit_classes(moved, tmp_path, GRID, 3, **TIGHT).solution,
        fit_classes(usual(x, y, groups, **plain | {"block_bytes": 500}), tmp_path, GRID, 3, **TIGHT).solution,
        fit_classes(usual(x, y, groups, **plain), tmp_path, GRID, 3, **TIGHT, memory_bytes=9000).solution,
    ]
    assert others[2].passes > 2 * base.passes
    for other in others:
        close(base, other, x[:, 0])


def test_rows_that_fit_are_read_once_and_others_in_every_pass(tmp_path):
    for memory, once in ((1 << 26, True), (4000, False)):
        module = data()
        whole, read = module.block, []
        module.block = lambda index, whole=whole, read=read: read.append(index) or whole(index)
        passes = fit_classes(module, tmp_path, GRID, 3, memory_bytes=memory).solution.passes
        assert len(read) == 1 + len(module.plan) * (1 if once else passes)


ONE_LAYER = 7000
"""Bytes that the rows of one of the two layers fit into."""


def test_layers_that_do_not_fit_together_come_one_after_another(tmp_path):
    x, _, _ = classed(rows=240)
    module = data()
    whole, read = module.block, []
    module.block = lambda index: read.append((tuple(module.pass_layers), index)) or whole(index)
    apart = fit_classes(module, tmp_path, GRID, 3, memory_bytes=ONE_LAYER, **TIGHT).solution
    assert read == sorted(read)
    assert {layers for layers, _ in read} == {(0,), (1,)}
    assert all(read.count(block) == 1 + (block[1] == 0) for block in read), "once, and the first for an origin"
    together = fit_classes(data(), tmp_path, GRID, 3, **TIGHT).solution
    close(apart, together, x[:, 0])
    assert apart.layer_index.tolist() == together.layer_index.tolist()
    assert apart.final.converged.shape == together.final.converged.shape
    assert (apart.rows, apart.cv_rows.tolist()) == (together.rows, together.cv_rows.tolist())


@pytest.mark.parametrize("inside", [0, 1])
def test_resumed_in_any_group_of_layers_equals_undisturbed_to_the_bit(tmp_path, inside):
    undisturbed = fit_classes(data(), tmp_path, GRID, 3, memory_bytes=ONE_LAYER).solution
    passes = [5, undisturbed.passes - 4][inside]
    save = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=1, save_top_k=0)
    flags = {"enable_checkpointing": True, "callbacks": [save], "max_epochs": passes}
    fit_classes(data(), tmp_path, GRID, 3, trainer_settings=flags, memory_bytes=ONE_LAYER)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["logistic_pass"]
    assert len(state["parts"]) == inside
    resumed = fit_classes(data(), tmp_path, GRID, 3, checkpoint=tmp_path / "last.ckpt", memory_bytes=ONE_LAYER).solution
    assert same(resumed, undisturbed)
    assert resumed.passes == undisturbed.passes


@pytest.mark.parametrize("passes", [1, 5, 14])
def test_resumed_equals_undisturbed_to_the_bit(tmp_path, passes):
    undisturbed = fit_classes(data(), tmp_path, GRID, 3).solution
    assert undisturbed.passes > 14
    save = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=1, save_top_k=0)
    flags = {"enable_checkpointing": True, "callbacks": [save], "max_epochs": passes}
    cut = fit_classes(data(), tmp_path, GRID, 3, trainer_settings=flags)
    with pytest.raises(ProbeError, match=rf"{passes} passes over the data are done, \d+ of \d+ fits go on"):
        _ = cut.solution
    resumed = fit_classes(data(), tmp_path, GRID, 3, checkpoint=tmp_path / "last.ckpt").solution
    assert same(resumed, undisturbed)
    assert resumed.passes == undisturbed.passes


def test_stopped_inside_a_pass_it_repeats_that_pass(tmp_path):
    undisturbed = fit_classes(data(), tmp_path, GRID, 3).solution
    save = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=1, save_top_k=0)

    class StopInside(StopAfter):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.current_epoch == 4:
                super().on_train_batch_start(trainer, module, batch, batch_idx)

    flags = {"enable_checkpointing": True, "callbacks": [save, StopInside(2)]}
    with pytest.raises(Interrupted):
        fit_classes(data(), tmp_path, GRID, 3, trainer_settings=flags)
    checkpoint = tmp_path / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["logistic_pass"]["passes"] == 4
    assert same(fit_classes(data(), tmp_path, GRID, 3, checkpoint=checkpoint).solution, undisturbed)


def test_last_goes_on_and_a_finished_run_resumes_to_its_solution(tmp_path):
    flags = {"accelerator": "cpu", "devices": 1}
    settings = {"tolerance": 1e-9, "max_iterations": 300, "memory_bytes": 1 << 26}
    runs = [LogisticProbe(["a", "b", "c"], GRID, **settings) for _ in range(3)]
    fit(runs[0], data(), flags | {"max_epochs": 6}, tmp_path, None)
    for probe in runs[1:]:
        fit(probe, data(), flags, tmp_path, "last")
    assert same(runs[1].solution, runs[2].solution)
    assert same(runs[1].solution, fit_classes(data(), tmp_path, GRID, 3).solution)


def test_a_fit_that_was_killed_goes_on_from_the_end_of_a_pass(tmp_path, monkeypatch):
    """It used to leave no checkpoint before it had ended, and so began anew."""

    class Killed(LogisticProbe):
        def on_train_epoch_start(self):
            super().on_train_epoch_start()
            if self._passes == 8:
                raise KeyboardInterrupt  # nothing is written on the way out

    class Counted(LogisticProbe):
        begun = 0

        def on_train_epoch_start(self):
            super().on_train_epoch_start()
            self.begun += 1

    monkeypatch.setattr(training, "_TIMES_LONGER", 0)
    flags = {"accelerator": "cpu", "devices": 1}
    settings = {"tolerance": 1e-9, "max_iterations": 300, "memory_bytes": 1 << 26}
    killed, resumed = (made(["a", "b", "c"], GRID, **settings) for made in (Killed, Counted))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(killed, data(), flags, tmp_path, None)
    fit(resumed, data(), flags, tmp_path, "last")
    undisturbed = fit_classes(data(), tmp_path / "whole", GRID, 3).solution
    assert same(resumed.solution, undisturbed)
    assert resumed.begun == undisturbed.passes - 8


def test_checkpoints_take_little_of_a_fits_time(tmp_path, monkeypatch):
    """Between two of them passes take many times as long as writing one; the last pass is always written."""
    monkeypatch.setattr(training, "_TIMES_LONGER", 1e9)
    written = []
    monkeypatch.setattr(
        pl.Trainer, "save_checkpoint", lambda self, path: written.append(self.current_epoch) or Path(path).touch()
    )
    probe = LogisticProbe(["a", "b", "c"], GRID, tolerance=1e-9, max_iterations=300, memory_bytes=1 << 26)
    fit(probe, data(), {"accelerator": "cpu", "devices": 1}, tmp_path, None)
    assert written == [0, probe.solution.passes - 1]


def test_a_pass_cut_short_is_dropped(tmp_path):
    probe = fit_classes(data(), tmp_path, GRID, 3, trainer_settings={"limit_train_batches": 2})
    with pytest.raises(ProbeError, match="0 passes over the data are done"):
        _ = probe.solution


def test_a_checkpoint_of_other_fits_is_refused_with_the_difference(tmp_path):
    save = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=1, save_top_k=0)
    flags = {"enable_checkpointing": True, "callbacks": [save], "max_epochs": 3}
    fit_classes(data(), tmp_path, GRID, 3, trainer_settings=flags)
    with pytest.raises(ProbeError, match=r"(?s)split\.seed: 3 in the checkpoint, 4 now.*tolerance: 1e-09"):
        fit_classes(data(split_seed=4), tmp_path, GRID, 3, checkpoint=tmp_path / "last.ckpt", tolerance=1e-6)


def test_fits_that_run_out_of_iterations_say_so(tmp_path):
    solution = fit_classes(data(), tmp_path, GRID, 3, max_iterations=2).solution
    assert not bool(solution.final.converged.any())
    assert int(solution.final.iterations.max()) == 2


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_low_precision_flags_do_not_touch_the_fits(tmp_path, precision):
    flagged = fit_classes(data(), tmp_path, GRID, 3, trainer_settings={"precision": precision})
    assert same(flagged.solution, fit_classes(data(), tmp_path, GRID, 3).solution)


TWO_PROCESSES = """
import sys, torch
from pathlib import Path
import test_logistic_pass as here
from logistic_cases import fit_classes

folder = Path(sys.argv[1])
probe = fit_classes(here.data(), folder, here.GRID, 3, trainer_settings={"devices": 2, "strategy": "ddp"}, **here.TIGHT)
found = {name: getattr(probe.solution, name) for name in here.TENSORS}
torch.save(found, folder / f"rank{probe.global_rank}.pt")
"""


def test_two_processes_find_what_one_does(tmp_path, fork_server):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    fork_server().run_ranks(script, [tmp_path], 2, Path(__file__).parent)
    alone = fit_classes(data(), tmp_path, GRID, 3, **TIGHT).solution
    for rank in range(2):
        solution = torch.load(tmp_path / f"rank{rank}.pt")
        for name in TENSORS:
            torch.testing.assert_close(solution[name], getattr(alone, name), rtol=1e-5, atol=1e-5)
