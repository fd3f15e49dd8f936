"""What a fit takes is said beforehand, and a fit that cannot be held is refused before it reads anything."""

import shutil
from collections import namedtuple

import psutil
import pytest
from probe_cases import PENALTIES, module, planted, trainer
from test_closed_passes import make, rows

from lit_experiments.errors import UserError
from lit_experiments.probes.forecast import ForecastFit, forecast
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.training import fit

FLAGS = {"accelerator": "cpu", "devices": 1}
Free = namedtuple("Free", ["available", "free"])


class Foreseen(ForecastFit):
    """Keeps the forecast of a fit."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.expected = forecast(pl_module, pl_module.data_module())


@pytest.mark.parametrize("method", ["ridge", "lda", "mean_difference"])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 30])
def test_passes_and_bytes_are_those_of_the_fit(tmp_path, method, memory_bytes):
    x, y = rows(6)
    data, probe, foreseen = (
        module(x, y, targets=["kind"], block_bytes=2000),
        make(method, memory_bytes),
        Foreseen(tmp_path),
    )
    read = []
    inner = data.block

    def counted(index):
        block = inner(index)
        read.append(block.x.astype("float32").nbytes)
        return block

    data.block = counted
    trainer(tmp_path, max_epochs=-1, callbacks=[foreseen]).fit(probe, datamodule=data)
    assert foreseen.expected.read == sum(read)
    assert foreseen.expected.passes == probe.step
    assert foreseen.expected.blocks >= 2 * max(read) or memory_bytes == 1
    assert foreseen.expected.sums > 0


@pytest.mark.parametrize(
    ("place", "name", "said"),
    [(psutil, "virtual_memory", "Not enough memory"), (shutil, "disk_usage", "Not enough room for checkpoints")],
)
def test_what_cannot_be_held_is_refused_before_a_block_is_read(tmp_path, monkeypatch, place, name, said):
    x, y, _ = planted(rows=100)
    data, read = module(x, y, block_bytes=1000), []
    inner = data.block
    data.block = lambda index: read.append(index) or inner(index)
    monkeypatch.setattr(place, name, lambda *path: Free(100, 100))
    with pytest.raises(UserError, match=said) as refused:
        fit(RidgeProbe(PENALTIES), data, FLAGS, tmp_path / "fit", None)
    assert "--memory_mb" in str(refused.value)
    assert read == []
