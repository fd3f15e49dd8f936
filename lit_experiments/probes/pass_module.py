"""What every probe that learns by passes over blocks shares: its data, the flow of blocks, checkpoints, identity.

Knows nothing of what is summed or solved. What a pass adds up travels in the checkpoint under a key and not as buffers:
`--precision bf16-true` would round buffers, and DDP would overwrite those of every rank with rank 0's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.forecast import Forecast


class PassModule(LightningModule):
    """One epoch is one pass over the blocks of a `BlockDataModule`.

    Subclasses say how a fit begins, what a block adds, and what happens at the end of a pass. `seen` [block] marks the
    blocks that this rank's pass has so far.
    """

    key: ClassVar[str]
    log_name = "probe"

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        # Fits nothing. Lightning counts steps (and so times checkpoints) by optimizer steps, and DDP insists on a
        # parameter.
        self.steps = nn.Parameter(torch.zeros(()))
        self.seen: Tensor | None = None
        self._restored: dict[str, Any] | None = None

    @abstractmethod
    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        """Start afresh."""

    @abstractmethod
    def take_up(self, state: dict[str, Any], data: BlockDataModule, device: torch.device) -> None:
        """Go on from what `state_to_save` gave, after `begin`."""

    @abstractmethod
    def state_to_save(self) -> dict[str, Any] | None:
        """Tensors and numbers of all ranks together, which all call this; None while there is nothing to go on from."""

    @abstractmethod
    def identity(self, data: BlockDataModule) -> dict[str, Any]:
        """What must be the same for a fit to go on."""

    @abstractmethod
    def foresee(self, data: BlockDataModule) -> Forecast | None:
        """What the fit will take, once it has begun; None where nothing is left to do."""

    @abstractmethod
    def add(self, block: Block) -> None:
        """Add a block that has not been seen in this pass."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.steps], lr=0.0)

    def on_fit_start(self) -> None:
        """Begin, or take up the checkpoint."""
        data = self.data_module()
        # Apple's MPS has no float64.
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        self.begin(data, device)
        if self._restored is not None:
            differing = differences(self._restored["identity"], self.identity(data))
            if differing:
                raise ProbeError(
                    "The checkpoint belongs to another fit, of other data or settings:\n  "
                    + "\n  ".join(differing)
                    + "\nGive the same store, selection and settings, or start afresh without --ckpt_path."
                )
            self.take_up(self._restored, data, device)
            self._restored = None

    def training_step(self, block: Block, batch_idx: int) -> None:
        if block.index >= 0 and self.seen is not None and not self.seen[block.index]:
            with torch.autocast(self.device.type, enabled=False), torch.no_grad():
                self.add(block)
            self.seen[block.index] = 1
            self.after_block(block)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        self.steps.grad = torch.zeros_like(self.steps)  # a gradient scaler refuses parameters without one
        optimizer.step()

    def after_block(self, block: Block) -> None:
        """What to log of it, if anything."""

    def log_by_layer(self, score: str, layer: int, values: dict[str, float]) -> None:
        """A cross-validated score of targets at a layer, for the Trainer's loggers. The layer is the step, so that
        they draw curves over layers, which grow as layers are done."""
        for logger in self.loggers:
            logger.log_metrics({f"{self.log_name}/{score}/{target}": value for target, value in values.items()}, layer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the state of all ranks in; Lightning calls this on every rank and keeps rank 0's."""
        state = self.state_to_save()
        if state is not None:
            checkpoint[self.key] = state | {"identity": self.identity(self.data_module())}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state until the data is there, and make Lightning begin an epoch over the blocks that are missing.

        Its own count of batches would be wrong: the number of ranks may have changed.
        """
        if self.key not in checkpoint:
            raise ProbeError(
                f"The checkpoint holds no {self.key.replace('_', ' ')}. Give a checkpoint that this command wrote."
            )
        self._restored = checkpoint[self.key]
        checkpoint.pop("loops", None)

    def data_module(self) -> BlockDataModule:
        """What the Trainer was given. Raises ProbeError unless it is a BlockDataModule."""
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, BlockDataModule):
            name = type(self).__name__
            raise ProbeError(f"{name} trains on a BlockDataModule: trainer.fit(probe, datamodule=data).")
        return data


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
