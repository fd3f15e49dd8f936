"""Live fits equal those of stored features; passes of closed-form probes resume and run on two processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from logistic_cases import classed
from probe_cases import PENALTIES, module, trainer
from test_ridge_pass import Interrupted, StopAfter

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.live import LiveDataModule, LiveFit
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.ridge import RidgeProbe

SPLIT = {"test_fraction": 0.25, "folds": 4, "split_seed": 3, "block_bytes": 4096, "shuffles": 1, "shuffle_seed": 0}
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
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_live_equals_stored(tmp_path, method, hidden, memory_bytes):
    x, y = rows(hidden)
    rng = np.random.default_rng(0)
    probe = make(method, memory_bytes)
    live = LiveFit(probe, LiveDataModule(["0", "1"], hidden, y, ["kind"], None, **SPLIT), torch.device("cpu"))
    assert live.passes == (1 if method == "ridge" else 2) * (2 if memory_bytes == 1 else 1)
    passes = 0
    while live.more:
        order = rng.permutation(90)
        for batch in np.array_split(np.concatenate([order, order[:9]]), 7):
            live.update(x[batch], batch)
        live.end_pass()
        passes += 1
    assert passes == live.passes
    for name, value in stored(method, hidden, tmp_path).items():
        torch.testing.assert_close(tensors(probe)[name], value, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_live_mistakes_are_named():
    x, y = rows(6)
    data = LiveDataModule(["0", "1"], 6, y, ["kind"], None, **SPLIT)
    live = LiveFit(make("ridge", 1 << 30), data, torch.device("cpu"))
    live.update(x[:40], np.arange(40))
    with pytest.raises(ProbeError, match="lacks 50 of 90 rows, such as 40"):
        live.end_pass()
    with pytest.raises(ProbeError, match="shape"):
        live.update(x[:2, :1], np.arange(2))
    with pytest.raises(ProbeError, match="Row 50 has a non-finite"):
        live.update(np.full((1, 2, 6), np.nan), np.array([50]))
    with pytest.raises(ProbeError, match="ridge, mean_difference or lda"):
        LiveFit(LogisticProbe(["a", "b"], [1.0], 1e-6, 10, 1), data, torch.device("cpu"))


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
import probe_cases, test_live_fit

folder = Path(sys.argv[1])
for method, hidden in test_live_fit.CASES:
    x, y = test_live_fit.rows(hidden)
    probe = test_live_fit.make(method, 1)
    data = probe_cases.module(x, y, targets=["kind"], shuffles=1, block_bytes=5000)
    runner = probe_cases.trainer(folder, devices=2, strategy="ddp", max_epochs=-1)
    runner.fit(probe, datamodule=data)
    torch.save(test_live_fit.tensors(probe), folder / f"{method}{hidden}-{runner.global_rank}.pt")
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
