"""What a fit takes is said beforehand, and a fit that cannot be held is refused before it reads anything."""

import gc
import shutil
import weakref
from collections import namedtuple

import psutil
import pytest
import torch
from lightning.pytorch import Callback
from logistic_cases import SETTINGS, classed, usual
from probe_cases import PENALTIES, module, planted, trainer
from test_closed_passes import make, rows

from lit_experiments.errors import UserError
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.training import ForecastFit, fit

FLAGS = {"accelerator": "cpu", "devices": 1}
Free = namedtuple("Free", ["available", "free"])


class Foreseen(ForecastFit):
    """Keeps the forecast of a fit."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.expected = pl_module.foresee(pl_module.data_module())


class Held(Callback):
    """Keeps the most bytes of rows and of the search that a logistic fit holds at the end of a pass."""

    rows = search = 0

    def on_train_epoch_end(self, trainer, pl_module):
        if pl_module._search is not None:
            kept = pl_module._reader._kept.values()
            self.rows = max(self.rows, sum(x.nbytes for rows in kept for x in rows.x))
            self.search = max(self.search, sum(t.nbytes for t in tensors(pl_module._search.state_dict())))


def tensors(state):
    """All tensors in nested dicts and lists."""
    if isinstance(state, torch.Tensor):
        return [state]
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for value in inner for tensor in tensors(value)]


def counting(data):
    """Bytes of the blocks that `data` has read, one by one, as float32."""
    read, inner = [], data.block

    def counted(index):
        block = inner(index)
        read.append(block.x.astype("float32").nbytes)
        return block

    data.block = counted
    return read


@pytest.mark.parametrize("method", ["ridge", "lda", "mean_difference"])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_passes_and_bytes_are_those_of_the_fit(tmp_path, method, memory_bytes):
    x, y = rows(6)
    data, probe, foreseen = (
        module(x, y, targets=["kind"], block_bytes=2000),
        make(method, memory_bytes),
        Foreseen(tmp_path),
    )
    read = counting(data)
    trainer(tmp_path, max_epochs=-1, callbacks=[foreseen]).fit(probe, datamodule=data)
    assert foreseen.expected.read == sum(read)
    assert foreseen.expected.passes == probe.step
    assert foreseen.expected.blocks >= 2 * max(read) or memory_bytes == 1
    assert foreseen.expected.sums > 0


def test_a_finished_logistic_fit_holds_no_rows(tmp_path):
    """Trainer and loaders refer to each other, and are alive until Python looks for cycles."""
    x, y, _ = classed(rows=800, layers=3, hidden=16)
    data, probe = usual(x, y[:, None, None].astype(float)), logistic(1 << 26)
    alive = []

    class Watched(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if pl_module._search is not None and not alive:
                alive.extend(weakref.ref(rows) for rows in pl_module._reader._kept.values())

    fitted = trainer(tmp_path, max_epochs=-1, callbacks=[Watched()])
    gc.disable()
    try:
        fitted.fit(probe, datamodule=data)
        assert alive
        assert [rows() for rows in alive if rows() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [(psutil, "virtual_memory", "Not enough memory"), (shutil, "disk_usage", "Not enough room for checkpoints")],
)
def test_what_cannot_be_held_is_refused_before_a_block_is_read(tmp_path, monkeypatch, place, name, message):
    x, y, _ = planted(rows=100)
    data, read = module(x, y, block_bytes=1000), []
    inner = data.block
    data.block = lambda index: read.append(index) or inner(index)
    monkeypatch.setattr(place, name, lambda *path: Free(100, 100))
    with pytest.raises(UserError, match=message) as refused:
        fit(RidgeProbe(PENALTIES), data, FLAGS, tmp_path / "fit", None)
    assert "--memory_mb" in str(refused.value)
    assert read == []


def logistic(memory_bytes):
    return LogisticProbe(["a", "b", "c"], [1e-2, 1.0], **(SETTINGS | {"memory_bytes": memory_bytes}))


@pytest.mark.parametrize(("memory_bytes", "kept"), [(1 << 26, True), (60_000, True), (10_000, False)])
def test_a_logistic_fit_stays_within_its_forecast(tmp_path, memory_bytes, kept):
    """All rows in memory; one layer's at a time; none, so that every pass reads."""
    x, y, _ = classed(rows=800, layers=3, hidden=16)
    data = usual(x, y[:, None, None].astype(float), block_bytes=20_000)
    read, probe, foreseen, held = counting(data), logistic(memory_bytes), Foreseen(tmp_path), Held()
    trainer(tmp_path, max_epochs=-1, callbacks=[held, foreseen]).fit(probe, datamodule=data)
    expected = foreseen.expected
    assert sum(read) <= expected.read
    assert probe.solution.passes <= expected.passes
    assert bool(held.rows) == kept
    assert expected.sums / 4 < held.rows + held.search <= expected.sums
    assert held.search <= expected.saved
    assert (sum(read) < 2 * x.nbytes) == kept
    assert "up to about" in expected.line("probe", 1)


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [(psutil, "virtual_memory", "Not enough memory"), (shutil, "disk_usage", "Not enough room for checkpoints")],
)
def test_a_logistic_fit_that_cannot_be_held_is_refused_before_its_first_pass(
    tmp_path, monkeypatch, place, name, message
):
    x, y, _ = classed(rows=200)
    data, probe = usual(x, y[:, None, None].astype(float)), logistic(1 << 26)
    monkeypatch.setattr(place, name, lambda *path: Free(1000, 1000))
    with pytest.raises(UserError, match=message):
        fit(probe, data, FLAGS, tmp_path / "fit", None)
    assert probe._passes == 0


def test_a_resumed_logistic_fit_forecasts_what_is_left(tmp_path):
    x, y, _ = classed(rows=800, layers=3, hidden=16)
    made = {"block_bytes": 20_000}
    first, foreseen = logistic(60_000), Foreseen(tmp_path)
    first_data = usual(x, y[:, None, None].astype(float), **made)
    trainer(tmp_path, max_epochs=-1, callbacks=[foreseen]).fit(first, datamodule=first_data)
    groups = len(first._groups)
    assert groups == 3

    class StopsAfterAGroup(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if len(pl_module._parts) == 1:
                trainer.save_checkpoint(tmp_path / "one.ckpt")
                trainer.should_stop = True

    data = usual(x, y[:, None, None].astype(float), **made)
    trainer(tmp_path, max_epochs=-1, callbacks=[StopsAfterAGroup()]).fit(logistic(60_000), datamodule=data)
    again, later = logistic(60_000), Foreseen(tmp_path)
    data = usual(x, y[:, None, None].astype(float), **made)
    trainer(tmp_path, max_epochs=-1, callbacks=[later]).fit(again, datamodule=data, ckpt_path=tmp_path / "one.ckpt")
    assert later.expected.passes == foreseen.expected.passes * 2 // 3
    assert torch.equal(again.solution.coef, first.solution.coef)
