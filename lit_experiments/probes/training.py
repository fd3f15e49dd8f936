"""Runs the Trainer for a probe: one pass or several, a checkpoint now and then, resumable."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lit_experiments.errors import UserError
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.forecast import require_disk, require_memory
from lit_experiments.probes.pass_module import PassModule
from lit_experiments.probes.streamed import StreamedProbe
from lit_experiments.signals import take_again
from lit_experiments.trainer import make_trainer, misfits_refused

_CHECKPOINT_STEPS = 20  # blocks between checkpoints
_TIMES_LONGER = 20  # than writing a checkpoint: what passes after it last at least before the next one
_LAST = "last.ckpt"
_WORTH_SAYING = 1e9  # bytes to read


def fit(
    probe: PassModule,
    data: BlockDataModule,
    trainer: dict[str, Any],
    checkpoints: Path,
    checkpoint: str | None,
) -> None:
    """Passes over the data until the fit is done (or `max_epochs`).

    Args:
        probe: what to fit; holds its solution afterwards.
        data: what to fit it to.
        trainer: arguments of the Trainer: devices, accelerator, ...
        checkpoints: folder of this pass's checkpoints.
        checkpoint: "last" to go on from the newest one there, a file (for the pass that wrote it), or None.

    Raises:
        UserError: a torn checkpoint, Trainer arguments that do not fit, or a fit that memory or disk cannot hold.
    """
    path = _checkpoint_of(checkpoints, checkpoint)
    saver = _saver(probe, checkpoints)
    # Advice for those who take gradient steps by hand; a probe has no state before or after one.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    fixed: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    fixed |= {"max_epochs": -1, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    fixed |= {"plugins": [_ToDisk()]}
    runner = make_trainer({**fixed, "log_every_n_steps": 1}, trainer, [saver, _OurSignals(), ForecastFit(checkpoints)])
    probe.log_name = checkpoints.name
    with misfits_refused():
        runner.fit(probe, datamodule=data, ckpt_path=path, weights_only=True)


def _saver(probe: PassModule, checkpoints: Path) -> Checkpoint:
    """What adds up can go on inside of a pass; logistic fits go on from the end of one."""
    if not isinstance(probe, StreamedProbe):
        return PassCheckpoint(checkpoints / _LAST)
    return ModelCheckpoint(
        checkpoints,
        save_last=True,
        save_top_k=0,
        enable_version_counter=False,
        every_n_train_steps=_CHECKPOINT_STEPS,
    )


def _checkpoint_of(checkpoints: Path, ckpt_path: str | None) -> Path | None:
    """The checkpoint of this pass: the file that was named if it lies in the pass's folder, else the newest one there.

    None where the training was interrupted before this pass's first checkpoint, or before the pass itself.

    Raises:
        UserError: it is torn, or no checkpoint.
    """
    if ckpt_path is None:
        return None
    path = Path(ckpt_path)
    if path.resolve().parent != checkpoints.resolve():
        path = checkpoints / _LAST
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        complete = isinstance(content, dict) and "pytorch-lightning_version" in content
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError):
        complete = False
    if not complete:
        raise UserError(f"{path} is torn, or no checkpoint.\nNext: remove it; the pass then starts from its beginning.")
    return path


class _ToDisk(TorchCheckpointIO):
    """Lightning writes a checkpoint into memory first: gigabytes, where a pass holds as many of sums."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.draft")
        torch.save(checkpoint, draft)
        draft.replace(target)


class _OurSignals(Callback):
    """Lightning puts a handler over SIGTERM that broadcasts between processes, and hangs where one of them is gone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        take_again()


class PassCheckpoint(Checkpoint):
    """One file, at the ends of passes: of the last one, and of as many others as do not take much time.

    Lightning's ModelCheckpoint writes none at the end of an epoch where it keeps no best ones.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written, self._took, self._step = -math.inf, 0.0, 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        due = trainer.should_stop or time.monotonic() - self._written >= _TIMES_LONGER * self._took
        if trainer.strategy.reduce_boolean_decision(due, all=False):  # every process helps to write
            self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._step != trainer.global_step:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        began = time.monotonic()
        trainer.save_checkpoint(self.path)
        self._written = time.monotonic()
        self._took, self._step = self._written - began, trainer.global_step


class ForecastFit(Callback):
    """Says what a long fit takes, and refuses one that memory or disk cannot hold, before its first pass."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, PassModule):
            return
        expected = pl_module.foresee(pl_module.data_module())
        if expected is None:
            return
        if trainer.is_global_zero and expected.read >= _WORTH_SAYING:
            sys.stderr.write(expected.line(pl_module.log_name, trainer.world_size) + "\n")
        if pl_module.device.type in ("cpu", "mps"):
            require_memory(expected, trainer.num_devices, psutil.virtual_memory().available)
        existing = next(p for p in [self.checkpoints.absolute(), *self.checkpoints.absolute().parents] if p.exists())
        require_disk(expected, self.checkpoints, shutil.disk_usage(existing).free)
