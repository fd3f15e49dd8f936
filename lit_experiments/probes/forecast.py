"""What a fit by passes takes, said and checked before its first pass: passes, bytes, memory, room for checkpoints."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_experiments.errors import UserError
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.streamed import StreamedProbe
from lit_experiments.units import byte_count

_BLOCKS = 2  # one that is added, one that is read meanwhile
_DRAFTS = 2  # checkpoints on the disk while a new one is written
_WORTH_SAYING = 1e9  # bytes to read


@dataclass(frozen=True)
class Forecast:
    """passes: over the data, some of them over some layers. read: bytes of states in all of them, as float32. sums,
    blocks: bytes in the memory of each process, at least."""

    passes: int
    read: int
    sums: int
    blocks: int

    def line(self, name: str, processes: int) -> str:
        """For the terminal."""
        where = f"each of {processes} processes" if processes > 1 else "memory"
        return (
            f"{name}: {self.passes} passes read {byte_count(self.read)} of states; sums of {byte_count(self.sums)} "
            f"and blocks of {byte_count(self.blocks)} in {where}."
        )


def forecast(probe: StreamedProbe, data: BlockDataModule) -> Forecast:
    """What a fit that has begun will take; its first pass holds the most."""
    assert probe.sums is not None
    entry = data.hidden * 4
    read = probe.stages * sum(len(data.order) * len(wave.layers) * entry for wave in probe.waves)
    sums = sum(tensor.numel() * tensor.element_size() for tensor in probe.sums.state_dict().values())
    longest = max((len(rows) for rows in data.plan), default=0)
    return Forecast(len(probe.waves) * probe.stages, read, sums, _BLOCKS * longest * len(probe.current.layers) * entry)


def require_memory(expected: Forecast, processes: int, free: int) -> None:
    """Raises UserError where a fit cannot be held. free: bytes of memory that are available."""
    needed = processes * (expected.sums + expected.blocks)
    if needed > free:
        raise UserError(
            f"Not enough memory for this fit: {processes} x {byte_count(expected.sums + expected.blocks)} at least "
            f"(sums {byte_count(expected.sums)}, blocks {byte_count(expected.blocks)}), {byte_count(free)} are free.\n"
            "Next: fewer --devices; a smaller --block_mb; or a smaller --memory_mb where the task has it (more passes)."
        )


def require_disk(expected: Forecast, folder: Path, free: int) -> None:
    """Raises UserError where checkpoints have no room. free: bytes on the disk of `folder`."""
    if _DRAFTS * expected.sums > free:
        raise UserError(
            f"Not enough room for checkpoints on the disk of {folder.absolute()}: up to "
            f"{_DRAFTS} x {byte_count(expected.sums)}, {byte_count(free)} are free.\n"
            "Next: make room there, or a smaller --memory_mb where the task has it (more passes)."
        )


class ForecastFit(Callback):
    """Says what a long fit takes, and refuses one that memory or disk cannot hold, before it reads a block."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, StreamedProbe) or pl_module.sums is None:
            return
        expected = forecast(pl_module, pl_module.data_module())
        if trainer.is_global_zero and expected.read >= _WORTH_SAYING:
            sys.stderr.write(expected.line(pl_module.log_name, trainer.world_size) + "\n")
        if pl_module.compute_device.type == "cpu":
            require_memory(expected, trainer.num_devices, psutil.virtual_memory().available)
        existing = next(p for p in [self.checkpoints.absolute(), *self.checkpoints.absolute().parents] if p.exists())
        require_disk(expected, self.checkpoints, shutil.disk_usage(existing).free)
