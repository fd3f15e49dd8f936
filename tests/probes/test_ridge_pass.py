"""The pass as Lightning runs it: resume in the middle, two processes, precision flags."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from probe_cases import PENALTIES, fit, module, planted, trainer

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.ridge import RidgeProbe

TENSORS = ("penalties", "mean", "scale", "y_mean", "coef", "cv_mse", "penalty_index", "layer_index")


class Interrupted(Exception):
    """What stops a pass in these tests."""


class StopAfter(Callback):
    """Stops the run as an error does, after so many steps."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == self.steps:
            raise Interrupted


def data():
    x, y, _ = planted(rows=260, repetitions=2)
    return module(x, y, np.arange(260) // 2, block_bytes=20 * 3 * 12 * 4)


def interrupted(folder, steps, every):
    save = ModelCheckpoint(folder, save_last=True, every_n_train_steps=every, save_top_k=1)
    with pytest.raises(Interrupted):
        fit(data(), folder, enable_checkpointing=True, callbacks=[save, StopAfter(steps)])
    return folder / "last.ckpt"


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)


@pytest.mark.parametrize("steps", [1, 6, 12])
def test_resumed_in_the_middle_of_the_pass_equals_undisturbed_to_the_bit(tmp_path, steps):
    undisturbed = fit(data(), tmp_path).solution
    resumed = RidgeProbe(PENALTIES)
    trainer(tmp_path).fit(resumed, datamodule=data(), ckpt_path=interrupted(tmp_path, steps, every=1))
    assert same(resumed.solution, undisturbed)


def test_blocks_after_the_last_checkpoint_are_read_again_and_none_twice(tmp_path):
    checkpoint = interrupted(tmp_path, steps=8, every=3)
    again, read = data(), []
    whole = again.block
    again.block = lambda index: read.append(index) or whole(index)
    resumed = RidgeProbe(PENALTIES)
    trainer(tmp_path).fit(resumed, datamodule=again, ckpt_path=checkpoint)
    assert read == list(range(6, 13))
    assert resumed.solution.rows == fit(data(), tmp_path).solution.rows


def test_last_finds_the_checkpoint_and_a_finished_pass_resumes_to_its_solution(tmp_path):
    save = {
        "enable_checkpointing": True,
        "callbacks": [ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=2)],
    }
    interrupted(tmp_path, steps=5, every=2)
    undisturbed = fit(data(), tmp_path / "other").solution
    for _ in range(2):
        probe = RidgeProbe(PENALTIES)
        trainer(tmp_path, **save).fit(probe, datamodule=data(), ckpt_path="last")
        assert same(probe.solution, undisturbed)


def test_checkpoints_load_without_unpickling_objects(tmp_path):
    content = torch.load(interrupted(tmp_path, steps=4, every=2), weights_only=True)
    assert content["ridge_pass"]["sums"]["0.xx"].dtype == torch.float64
    assert content["ridge_pass"]["seen"].sum() == 4


def test_a_checkpoint_of_another_pass_is_refused_with_the_difference(tmp_path):
    checkpoint = interrupted(tmp_path, steps=4, every=2)
    x, y, _ = planted(rows=260, repetitions=2)
    other = module(x, y + 1, np.arange(260) // 2, block_bytes=20 * 3 * 12 * 4, split_seed=4)
    with pytest.raises(ProbeError, match=r"(?s)data\.arrays: .*split\.seed: 3 in the checkpoint, 4 now"):
        trainer(tmp_path).fit(RidgeProbe(PENALTIES), datamodule=other, ckpt_path=checkpoint)


def test_a_pass_cut_short_has_no_solution(tmp_path):
    probe = fit(data(), tmp_path, limit_train_batches=4)
    with pytest.raises(ProbeError, match="4 of 13 blocks"):
        _ = probe.solution


def test_a_second_epoch_counts_nothing_twice(tmp_path):
    assert same(fit(data(), tmp_path, max_epochs=2).solution, fit(data(), tmp_path).solution)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_precision_does_not_touch_the_moments(tmp_path, precision):
    assert same(fit(data(), tmp_path, precision=precision).solution, fit(data(), tmp_path).solution)


TWO_PROCESSES = """
import sys, torch
from pathlib import Path
from lightning.pytorch.callbacks import ModelCheckpoint
import probe_cases, test_ridge_pass
from lit_experiments.probes.ridge import RidgeProbe

folder, blocks, stop, checkpoint = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] or None
x, y, _ = probe_cases.planted(rows=20 * blocks, repetitions=2)
data = probe_cases.module(x, y, block_bytes=20 * 3 * 12 * 4)
save = ModelCheckpoint(folder, save_last=True, every_n_train_steps=1)
callbacks = [save] + ([test_ridge_pass.StopAfter(stop)] if stop else [])
probe = RidgeProbe(probe_cases.PENALTIES)
runner = probe_cases.trainer(folder, devices=2, strategy="ddp", enable_checkpointing=True, callbacks=callbacks)
try:
    runner.fit(probe, datamodule=data, ckpt_path=checkpoint)
    found = {name: getattr(probe.solution, name) for name in test_ridge_pass.TENSORS}
    torch.save(found, folder / f"rank{runner.global_rank}.pt")
except test_ridge_pass.Interrupted:
    pass
"""


def two_processes(server, folder, blocks, stop=0, checkpoint=""):
    script = folder / "two.py"
    script.write_text(TWO_PROCESSES)
    server.run_ranks(script, [folder, blocks, stop, checkpoint], 2, Path(__file__).parent)


def one_process(folder, blocks, **settings):
    x, y, _ = planted(rows=20 * blocks, repetitions=2)
    probe = RidgeProbe(PENALTIES)
    runner = trainer(folder)
    runner.fit(probe, datamodule=module(x, y, block_bytes=20 * 3 * 12 * 4), **settings)
    return probe.solution


def close(solution, other):
    for name in TENSORS:
        torch.testing.assert_close(getattr(solution, name), other[name], rtol=1e-10, atol=1e-12)


def test_one_block_on_two_processes(tmp_path, fork_server):
    two_processes(fork_server(), tmp_path, blocks=1)
    for rank in range(2):
        close(one_process(tmp_path, 1), torch.load(tmp_path / f"rank{rank}.pt"))


def test_stopped_on_two_processes_and_resumed_on_one_or_two_with_an_odd_number_of_blocks(tmp_path, fork_server):
    two_processes(fork_server(), tmp_path, blocks=7, stop=2)
    checkpoint = (tmp_path / "last.ckpt").rename(tmp_path / "stopped.ckpt")
    assert torch.load(checkpoint, weights_only=True)["ridge_pass"]["seen"].tolist() == [1, 1, 1, 1, 0, 0, 0]
    undisturbed = one_process(tmp_path, 7)
    close(one_process(tmp_path, 7, ckpt_path=checkpoint), {name: getattr(undisturbed, name) for name in TENSORS})
    two_processes(fork_server(), tmp_path, blocks=7, checkpoint=checkpoint)
    for rank in range(2):
        close(undisturbed, torch.load(tmp_path / f"rank{rank}.pt"))
