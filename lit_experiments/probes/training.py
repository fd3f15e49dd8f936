"""Runs the Trainer for a probe: one pass or several, a checkpoint now and then, resumable."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_experiments.errors import UserError
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.quiet import quiet_lightning
from lit_experiments.signals import take_again

_CHECKPOINT_STEPS = 20  # blocks between checkpoints


def fit(
    probe: RidgeProbe | LogisticProbe,
    data: BlockDataModule,
    trainer: dict[str, Any],
    checkpoints: Path,
    checkpoint: str | None,
) -> None:
    """One pass over the data for a ridge; for logistic fits, passes until they are done (or `max_epochs`).

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
    passes = -1 if isinstance(probe, LogisticProbe) else 1
    # A ridge can go on inside its one pass; logistic fits go on from the end of one.
    when: dict[str, Any] = {"every_n_train_steps": _CHECKPOINT_STEPS} if passes == 1 else {"every_n_epochs": 1}
    saver = ModelCheckpoint(checkpoints, save_last=True, save_top_k=0, **when)
    quiet_lightning()
    # Advice for those who take gradient steps by hand; a probe has no state before or after one.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    fixed: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    fixed |= {"max_epochs": passes, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
    try:
        runner = Trainer(**{**fixed, **trainer}, callbacks=[saver, _OurSignals()])
    except (TypeError, ValueError) as error:
        raise UserError(f"The Trainer does not take these flags: {' '.join(str(error).split())}") from error
    path = str(checkpoints / "last.ckpt") if checkpoint == "last" else checkpoint
    runner.fit(probe, datamodule=data, ckpt_path=path, weights_only=True)


class _OurSignals(Callback):
    """Lightning puts a handler over SIGTERM that broadcasts between processes, and hangs where one of them is gone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        take_again()
