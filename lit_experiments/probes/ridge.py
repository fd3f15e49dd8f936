"""Ridge as a LightningModule: one epoch is one pass that adds up moments, and the end of the pass solves.

Owns how a pass is checkpointed, resumed and merged over ranks. The moments travel in the checkpoint under their own
key and not as buffers: `--precision bf16-true` would round buffers, and DDP would overwrite those of every rank with
rank 0's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.solve import Solution, check_penalties, solve

_KEY = "ridge_pass"


class RidgeProbe(LightningModule):
    """Exact ridge on standardised inputs, for all layers, targets and penalties of a `BlockDataModule` in one pass.

    penalties: the ridge penalties to choose from by cross-validation; a single one is simply used.
    After `trainer.fit(probe, datamodule=data)`, `probe.solution` holds the fits, equal on every rank. Logged under
    `log_name`: rows and blocks of this rank so far, and at the end the cross-validated mean squared error, the mean of
    the targets' smallest.
    """

    log_name = "ridge"

    def __init__(self, penalties: list[float]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.penalties = check_penalties(penalties)
        self.automatic_optimization = False
        # Fits nothing. Lightning counts steps (and so times checkpoints) by optimizer steps, and DDP insists on a
        # parameter.
        self.steps = nn.Parameter(torch.zeros(()))
        self._moments: Moments | None = None
        self._total: Moments | None = None
        self._seen: Tensor | None = None
        self._rows = 0
        self._restored: dict[str, Any] | None = None
        self._solution: Solution | None = None

    @property
    def solution(self) -> Solution:
        """The fits. Raises ProbeError while the pass is incomplete."""
        if self._solution is None:
            done, total = (0, 0) if self._seen is None else (int(self._seen.sum()), len(self._seen))
            raise ProbeError(
                f"The pass over the data is not complete: {done} of {total} blocks are in. "
                "Run it again with --ckpt_path last."
            )
        return self._solution

    def solution_for(self, penalties: list[float]) -> Solution:
        """The fits for other penalties, from the same pass."""
        _ = self.solution
        assert self._total is not None
        return solve(self._total, penalties)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.steps], lr=0.0)

    def on_fit_start(self) -> None:
        """Make empty moments, or take up those of the checkpoint, and leave out the blocks that they hold."""
        data = self._data()
        # Apple's MPS has no float64.
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        size = (max(data.folds, 1), len(data.layers), data.hidden, len(data.targets))
        self._moments, self._solution, self._rows = Moments.zeros(*size, device=device), None, 0
        self._seen = torch.zeros(len(data.plan), dtype=torch.uint8)
        if self._restored is not None:
            self._take_up(self._restored, data, device)
        data.skip_blocks(set(torch.nonzero(self._seen)[:, 0].tolist()))

    def training_step(self, block: Block, batch_idx: int) -> None:
        assert self._moments is not None
        assert self._seen is not None
        if block.index >= 0 and not self._seen[block.index]:
            with torch.autocast(self._moments.count.device.type, enabled=False):
                self._moments.add(block)
            self._seen[block.index] = 1
            self._rows += len(block.rows)
            progress = {"rows": float(self._rows), "blocks": float(self._seen.sum())}
            self.log_dict({f"{self.log_name}/{k}": v for k, v in progress.items()}, batch_size=1)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        self.steps.grad = torch.zeros_like(self.steps)  # a gradient scaler refuses parameters without one
        optimizer.step()

    def on_train_epoch_end(self) -> None:
        """Merge the ranks and solve, if every block is in: a pass cut short solves nothing."""
        self._total, self._seen = self._merged()
        if bool(self._seen.all()):
            self._solution = solve(self._total, self.penalties)
            if self._solution.cv_mse.shape[1]:
                best = self._solution.cv_mse.mean(1).amin((0, 1)).mean()
                self.log(f"{self.log_name}/cv_mse", best, batch_size=1, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the merged moments of all ranks in; Lightning calls this on every rank and keeps rank 0's."""
        if self._moments is None:
            return
        moments, seen = self._merged()
        checkpoint[_KEY] = {"moments": moments.state_dict(), "seen": seen, "identity": self._data().pass_identity()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the moments until the data is there, and make Lightning begin an epoch over the blocks that are missing.

        Its own count of batches would be wrong: the number of ranks may have changed.
        """
        if _KEY not in checkpoint:
            raise ProbeError(
                "The checkpoint holds no pass of a ridge probe. Give a checkpoint that this command wrote."
            )
        self._restored = checkpoint[_KEY]
        checkpoint.pop("loops", None)

    def _take_up(self, restored: dict[str, Any], data: BlockDataModule, device: torch.device) -> None:
        differing = differences(restored["identity"], data.pass_identity())
        if differing:
            raise ProbeError(
                "The checkpoint belongs to another pass over other data or settings:\n  "
                + "\n  ".join(differing)
                + "\nGive the same store, selection and settings, or start afresh without --ckpt_path."
            )
        self._seen = restored["seen"].clone()
        if self.trainer.global_rank == 0:
            self._moments = Moments(**{k: v.to(device).clone() for k, v in restored["moments"].items()})
        self._restored = None

    def _merged(self) -> tuple[Moments, Tensor]:
        """Moments and seen blocks of all ranks together. Every rank must call this at the same time."""
        assert self._moments is not None
        assert self._seen is not None
        if self.trainer.world_size == 1:
            return self._moments, self._seen
        seen = self._seen.to(self.device)
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
        return _all_reduce(self._moments), seen.cpu()

    def _data(self) -> BlockDataModule:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, BlockDataModule):
            raise ProbeError(
                "RidgeProbe trains on a BlockDataModule: trainer.fit(probe, datamodule=ArrayDataModule(...))."
            )
        return data


def _all_reduce(moments: Moments) -> Moments:
    """The sum over ranks, about the provisional mean of the lowest rank that has rows. Changes nothing in place."""
    has_rows = torch.full((dist.get_world_size(),), 0, dtype=torch.int64, device=moments.count.device)
    has_rows[dist.get_rank()] = bool(moments.count.any())
    dist.all_reduce(has_rows)
    source = int(has_rows.argmax())
    shift, y_shift = moments.shift.clone(), moments.y_shift.clone()
    dist.broadcast(shift, source)
    dist.broadcast(y_shift, source)
    if not bool(moments.count.any()):
        moments = Moments(**{**moments.state_dict(), "shift": shift, "y_shift": y_shift})
    total = moments.recentred(shift, y_shift)
    for name, value in total.state_dict().items():
        if not name.endswith("shift"):
            dist.all_reduce(value)
    return total


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """'key: old -> new' for every leaf that differs between two nested dicts."""
    out = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            out.append(f"{prefix}{key}: {a} in the checkpoint, {b} now")
    return out
