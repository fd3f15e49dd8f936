"""Probes with a closed form: passes that add up, each for some layers, and a solution from the sums.

Owns how passes follow each other, how they are checkpointed in the middle, resumed and merged over ranks.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.forecast import BLOCKS, Forecast
from lit_experiments.probes.pass_module import PassModule
from lit_experiments.probes.waves import MEMORY_BYTES, Part, Sums, Wave


class StreamedProbe(PassModule):
    """Passes in waves of layers (and of parts of the targets), each wave with `stages` passes.

    Subclasses say what the parts are, what a pass sums, and what is concluded from it. `pieces` holds what is concluded
    so far, by name.
    """

    stages: ClassVar[int] = 1

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        super().__init__()
        self.memory_bytes = memory_bytes
        self.pieces: dict[str, Tensor] = {}
        self.step = 0
        self.waves: list[Wave] = []
        self.parts: list[Part] = []
        self.sums: Sums | None = None
        self._rows = 0
        self._identity: dict[str, Any] = {}

    @abstractmethod
    def parts_of(self, data: BlockDataModule) -> list[Part]:
        """The parts of the data's targets. Raises ProbeError for data that this probe cannot be fitted to."""

    @abstractmethod
    def waves_of(self, data: BlockDataModule) -> list[Wave]:
        """What each wave sums, given `parts`."""

    @abstractmethod
    def sums_of(self, data: BlockDataModule, wave: Wave, stage: int) -> Sums:
        """Empty sums of a pass."""

    @abstractmethod
    def conclude(self, data: BlockDataModule, wave: Wave, stage: int, sums: Sums) -> None:
        """Add to `pieces` what a whole pass gives."""

    @abstractmethod
    def finish(self, data: BlockDataModule) -> None:
        """Make the solution from `pieces`."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What must be the same for a fit to go on, besides the data."""

    @property
    def done(self) -> bool:
        """Whether all passes are over."""
        return bool(self.waves) and self.step == len(self.waves) * self.stages

    @property
    def current(self) -> Wave:
        """The wave of this pass."""
        return self.waves[self.step // self.stages]

    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        """Empty sums for the first pass."""
        data.only_layers(None)
        self.compute_device, self.pieces, self.step, self._rows = device, {}, 0, 0
        self.parts = self.parts_of(data)
        self.waves = self.waves_of(data)
        self._identity = data.pass_identity() | {"settings": self.settings(), "passes": len(self.waves) * self.stages}
        self.open_pass(data)

    def foresee(self, data: BlockDataModule) -> Forecast | None:
        """Of all passes; the first one holds the most."""
        if self.sums is None:
            return None
        entry = data.hidden * 4
        read = self.stages * sum(len(data.order) * len(wave.layers) * entry for wave in self.waves)
        sums = sum(tensor.numel() * tensor.element_size() for tensor in self.sums.state_dict().values())
        blocks = BLOCKS * data.longest_block() * len(self.current.layers) * entry
        return Forecast(len(self.waves) * self.stages, read, sums, blocks, saved=sums)

    def open_pass(self, data: BlockDataModule) -> None:
        """Empty sums, and the data set to read what they need; at the end, all of it again."""
        if self.done:
            self.sums = None
            data.only_layers(None)
            data.skip_blocks(set(range(len(data.plan))))
            self.seen = torch.ones(len(data.plan), dtype=torch.uint8)
            return
        data.only_layers(None if len(self.current.layers) == len(data.layers) else self.current.layers)
        data.skip_blocks(set())
        self.seen = torch.zeros(len(data.plan), dtype=torch.uint8)
        self.sums = self.sums_of(data, self.current, self.step % self.stages)

    def take_up(self, state: dict[str, Any], data: BlockDataModule, device: torch.device) -> None:
        """Go on in the middle of a pass; what it has so far goes to the first rank."""
        self.pieces = {name: value.clone() for name, value in state["pieces"].items()}
        self.step = state["step"]
        self.open_pass(data)
        if self.done:
            self.finish(data)
            return
        assert self.sums is not None
        self.seen = state["seen"].clone()
        if rank() == 0:
            self.sums.load_state_dict(state["sums"])
        data.skip_blocks(set(torch.nonzero(state["seen"])[:, 0].tolist()))

    def on_fit_start(self) -> None:
        """Begin or take up; every pass reads blocks of its own."""
        super().on_fit_start()
        self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]

    def add(self, block: Block) -> None:
        """To the sums of this pass."""
        assert self.sums is not None
        self.sums.add(block)

    def after_block(self, block: Block) -> None:
        """Rows of this rank so far, and blocks of this pass."""
        assert self.seen is not None
        self._rows += len(block.rows)
        progress = {"rows": float(self._rows), "blocks": float(self.seen.sum())}
        self.log_dict({f"{self.log_name}/{name}": value for name, value in progress.items()}, batch_size=1)

    def end_pass(self, data: BlockDataModule) -> bool:
        """Merge the ranks, conclude, open the next pass; False for a pass cut short, which concludes nothing."""
        if self.done:
            return True
        sums, seen = self._merged()
        if not bool(seen.all()):
            self.seen = seen
            return False
        self.sums = None
        self.conclude(data, self.current, self.step % self.stages, sums)
        del sums
        self.step += 1
        self.open_pass(data)
        if self.done:
            self.finish(data)
        return True

    def on_train_epoch_end(self) -> None:
        """The same, in the Trainer: it stops after the last pass, and after one that was cut short."""
        whole = self.end_pass(self.data_module())
        if self.done:
            self.log_solution()
        if self.done or not whole:
            self.trainer.should_stop = True

    def forget(self) -> None:
        """Lets go of the fits, which can be large: Trainer and module hold each other, so that what a module keeps
        stays until Python next looks for cycles, long after its last use."""
        self.pieces, self.sums = {}, None

    def log_solution(self) -> None:
        """What to log at the end, if anything."""

    def state_to_save(self) -> dict[str, Any] | None:
        """What is concluded, and the sums and seen blocks of this pass."""
        if not self.waves:
            return None
        state = {"pieces": self.pieces, "step": self.step}
        if self.done:
            return state
        sums, seen = self._merged()
        return state | {"sums": sums.state_dict(), "seen": seen}

    def identity(self, data: BlockDataModule) -> dict[str, Any]:
        """Data, split, plan, settings and number of passes."""
        return self._identity

    def incomplete(self) -> ProbeError:
        """Why there is no solution yet."""
        seen, total = (0, 0) if self.seen is None else (int(self.seen.sum()), len(self.seen))
        return ProbeError(
            f"The pass over the data is not complete: {seen} of {total} blocks are in (pass {self.step + 1} of "
            f"{max(1, len(self.waves) * self.stages)}). Run it again with --ckpt_path last."
        )

    def _merged(self) -> tuple[Sums, Tensor]:
        """Sums and seen blocks of all ranks together. Every rank must call this at the same time."""
        assert self.sums is not None
        assert self.seen is not None
        if ranks() == 1:
            return self.sums, self.seen
        seen = self.seen.to(self.compute_device)
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
        return self.sums.all_reduced(), seen.cpu()


def ranks() -> int:
    """How many processes fit together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if ranks() > 1 else 0
