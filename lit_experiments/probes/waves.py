"""What is summed in a pass: parts of the targets, layers, and how many of them a pass can hold. Solves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol, Self

import torch
import torch.distributed as dist
from torch import Tensor

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.row_ridge import RowTargets

MEMORY_BYTES = 1 << 30
"""What the sums of a pass may take; layers that do not fit come in further passes, which read these layers only."""


@dataclass(frozen=True)
class Part:
    """Targets that the same rows have, with the same weights.

    targets: their positions in the data. columns: of y in the part's blocks. view: a block with the part's y and
    weights only.
    """

    targets: list[int]
    columns: int
    view: Callable[[Block], Block]


@dataclass(frozen=True)
class Wave:
    """What one pass sums: parts and layers, by position."""

    parts: list[int]
    layers: list[int]


def waves(parts: list[int], layers: int, memory_bytes: int) -> list[Wave]:
    """As few as memory allows. parts: bytes that each part takes per layer.

    All parts of as many layers as fit go together; where one layer's parts do not, as many parts of one layer.
    """
    together = memory_bytes // max(1, sum(parts))
    if together >= 1:
        starts = range(0, layers, together)
        return [Wave(list(range(len(parts))), list(range(i, min(i + together, layers)))) for i in starts]
    groups: list[list[int]] = [[]]
    for part, size in enumerate(parts):
        if groups[-1] and sum(parts[p] for p in groups[-1]) + size > memory_bytes:
            groups.append([])
        groups[-1].append(part)
    return [Wave(group, [layer]) for layer in range(layers) for group in groups]


class Sums(Protocol):
    """What a pass adds up."""

    def add(self, block: Block) -> None:
        """Add a block's rows."""

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name, not copied."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up saved ones."""

    def all_reduced(self) -> Self:
        """The sums over all ranks, which call this together; nothing changes in place."""


class MomentSums:
    """The moments of some parts."""

    def __init__(self, parts: list[Part], data: BlockDataModule, layers: int, device: torch.device, products: bool):
        size = (max(data.folds, 1), layers, data.hidden)
        self.parts = parts
        self.moments = [Moments.zeros(*size, part.columns, device, products) for part in parts]

    def add(self, block: Block) -> None:
        for part, moments in zip(self.parts, self.moments, strict=True):
            moments.add(part.view(block))

    def state_dict(self) -> dict[str, Tensor]:
        return {f"{i}.{name}": v for i, m in enumerate(self.moments) for name, v in m.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        names = [field.name for field in fields(Moments)]
        device = self.moments[0].count.device
        for i in range(len(self.moments)):
            self.moments[i] = Moments(**{name: state[f"{i}.{name}"].to(device).clone() for name in names})

    def all_reduced(self) -> MomentSums:
        out = object.__new__(MomentSums)
        out.parts, out.moments = self.parts, [moments.all_reduced() for moments in self.moments]
        return out


class RowSums:
    """The training rows themselves, in the order of their numbers: x [layer, row, hidden] in their own precision.

    A row goes to its place whatever block or rank brings it, so that ranks merge by adding what the others leave 0.
    """

    def __init__(self, parts: list[Part], data: BlockDataModule, layers: int, device: torch.device) -> None:
        self.rows = torch.from_numpy(data.fold != TEST).nonzero()[:, 0]
        self.place = torch.full((len(data.fold),), -1)
        self.place[self.rows] = torch.arange(len(self.rows))
        wide = data.feature_dtype().itemsize == 8
        shape = (layers, len(self.rows), data.hidden)
        self.x = torch.zeros(shape, dtype=torch.float64 if wide else torch.float32, device=device)
        block = data.without_features(self.rows.numpy())
        self.targets = [RowTargets.of(part.view(block), device) for part in parts]

    def add(self, block: Block) -> None:
        place = self.place[torch.from_numpy(block.rows)]
        train = torch.nonzero(place >= 0)[:, 0]
        for layer in range(len(self.x)):
            x = torch.from_numpy(block.x[train.numpy(), layer]).to(self.x.device, self.x.dtype)
            self.x[layer, place[train].to(x.device)] = x

    def state_dict(self) -> dict[str, Tensor]:
        return {"x": self.x}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.x.copy_(state["x"])

    def all_reduced(self) -> RowSums:
        out = object.__new__(RowSums)
        vars(out).update(vars(self))
        out.x = self.x.clone()
        dist.all_reduce(out.x)
        return out


def row_side(data: BlockDataModule) -> bool:
    """Whether rows are summed up as they are: there are fewer in the training part than hidden dims."""
    return int((data.fold != TEST).sum()) < data.hidden


def bytes_per_layer(parts: list[Part], data: BlockDataModule, products: bool = True) -> list[int]:
    """What each part's sums take per layer; all parts share the rows, where these are summed."""
    if products and row_side(data):
        size = int((data.fold != TEST).sum()) * data.hidden * data.feature_dtype().itemsize
        return [size] + [0] * (len(parts) - 1)
    hidden = data.hidden if products else 1
    return [
        Moments.bytes_of(max(data.folds, 1), 1, hidden, part.columns) * (1 if products else data.hidden)
        for part in parts
    ]
