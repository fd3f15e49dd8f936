"""Passes of closed-form probes resume and run on two processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from logistic_cases import classed
from probe_cases import PENALTIES, module, trainer
from test_ridge_pass import Interrupted, StopAfter

from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.ridge import RidgeProbe

KINDS = {"kind": ["a", "b"]}
CASES = [("ridge", 100), ("lda", 6), ("lda", 100), ("mean_difference", 6)]


def rows(hidden):
    x, y, _ = classed(rows=90, layers=2, hidden=hidden, classes=2)
    return x.astype(np.float16).astype(np.float32), y.astype(float)


def make(method, memory_bytes):
    if method == "ridge":
        return RidgeProbe(PENALTIES, memory_bytes=memory_bytes)
    if method == "lda":
        return DiscriminantProbe(KINDS, [0.1, 0.5], memory_bytes=memory_bytes)
    return MeanDifferenceProbe(KINDS, memory_bytes=memory_bytes)


def tensors(probe):
    solution = probe.solution if isinstance(probe, RidgeProbe) else probe.solutions["kind"]
    return {name: value for name, value in vars(solution).items() if isinstance(value, torch.Tensor)}


def stored(method, hidden, folder, **settings):
    x, y = rows(hidden)
    probe = make(method, 1 << 30)
    data = module(x, y, targets=["kind"], shuffles=1, block_bytes=5000, **settings)
    trainer(folder, max_epochs=-1).fit(probe, datamodule=data)
    return tensors(probe)


@pytest.mark.parametrize("method", ["ridge", "lda", "mean_difference"])
@pytest.mark.parametrize("hidden", [6, 100])
def test_resumed_in_the_middle_of_any_pass_to_the_bit(tmp_path, method, hidden):
    x, y = rows(hidden)

    def data():
        return module(x, y, targets=["kind"], shuffles=1, block_bytes=30 * hidden * 4)

    whole = make(method, 1)
    trainer(tmp_path, max_epochs=-1).fit(whole, datamodule=data())
    for epoch, steps in ((0, 2), (1, 1)):
        save = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=1, save_top_k=1)
        probe = make(method, 1)
        runner = trainer(tmp_path, max_epochs=-1, enable_checkpointing=True, callbacks=[save, StopIn(epoch, steps)])
        with pytest.raises(Interrupted):
            runner.fit(probe, datamodule=data())
        resumed = make(method, 1)
        checkpoint = tmp_path / "last.ckpt"
        trainer(tmp_path, max_epochs=-1).fit(resumed, datamodule=data(), ckpt_path=checkpoint, weights_only=True)
        for name, value in tensors(whole).items():
            torch.testing.assert_close(tensors(resumed)[name], value, rtol=0, atol=0, equal_nan=True)
        checkpoint.unlink()


class StopIn(StopAfter):
    """Stops after so many steps of an epoch."""

    def __init__(self, epoch, steps):
        super().__init__(steps)
        self.epoch = epoch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == self.epoch:
            super().on_train_batch_start(trainer, module, batch, batch_idx)


TWO_PROCESSES = """
import sys, torch
from pathlib import Path
import probe_cases, test_closed_passes

folder = Path(sys.argv[1])
for method, hidden in test_closed_passes.CASES:
    x, y = test_closed_passes.rows(hidden)
    probe = test_closed_passes.make(method, 1)
    data = probe_cases.module(x, y, targets=["kind"], shuffles=1, block_bytes=5000)
    runner = probe_cases.trainer(folder, devices=2, strategy="ddp", max_epochs=-1)
    runner.fit(probe, datamodule=data)
    torch.save(test_closed_passes.tensors(probe), folder / f"{method}{hidden}-{runner.global_rank}.pt")
"""


def test_two_processes_find_what_one_does(tmp_path, fork_server):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    fork_server().run_ranks(script, [tmp_path], 2, Path(__file__).parent)
    for method, hidden in CASES:
        for name, value in stored(method, hidden, tmp_path).items():
            for rank in range(2):
                other = torch.load(tmp_path / f"{method}{hidden}-{rank}.pt")[name]
                torch.testing.assert_close(other, value, rtol=1e-8, atol=1e-10, equal_nan=True)
