"""Runs the Trainer for a probe: one pass, a checkpoint now and then, resumable."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_experiments.errors import UserError
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.quiet import quiet_lightning

_CHECKPOINT_STEPS = 20  # blocks between checkpoints


def fit(
    probe: RidgeProbe, data: BlockDataModule, trainer: dict[str, Any], checkpoints: Path, checkpoint: str | None
) -> None:
    """One pass over the data.

    Args:
        probe: what to fit; holds its solution afterwards.
        data: what to fit it to.
        trainer: arguments of the Trainer: devices, accelerator, ...
        checkpoints: folder of this pass's checkpoints.
        checkpoint: "last" to go on from the newest one there, a file, or None.

    Raises:
        UserError: "last" and there is none, or Trainer arguments that it does not take.
    """
    if checkpoint == "last" and not (checkpoints / "last.ckpt").exists():
        checkpoint = None  # interrupted before this pass's first checkpoint, or before the pass itself
    saver = ModelCheckpoint(checkpoints, save_last=True, save_top_k=0, every_n_train_steps=_CHECKPOINT_STEPS)
    quiet_lightning()
    # Advice for those who take gradient steps by hand; a ridge has no state before or after one.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    fixed: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    fixed |= {"max_epochs": 1, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    try:
        runner = Trainer(**{**fixed, **trainer}, callbacks=[saver])
    except (TypeError, ValueError) as error:
        raise UserError(f"The Trainer does not take these flags: {' '.join(str(error).split())}") from error
    path = str(checkpoints / "last.ckpt") if checkpoint == "last" else checkpoint
    runner.fit(probe, datamodule=data, ckpt_path=path, weights_only=True)
