"""A block's labelled training rows as tensors, and which of them stay in memory. Knows no problem and no optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError


@dataclass(frozen=True)
class Rows:
    """x: per layer [row, D] minus its origin; y: [row, T] class codes; fold: [row]; sample: [row] its place in the
    sample, -1 outside of it; weight: [row] how many times it counts; loss_weight: [row, T] that in the loss."""

    x: list[Tensor]
    y: Tensor
    fold: Tensor
    sample: Tensor
    weight: Tensor
    loss_weight: Tensor


class RowReader:
    """Turns blocks into rows, and keeps them for the passes to come if they all fit.

    origin: [L, D] subtracted before rounding to `dtype`. classes: their names. keep: whether to hold on to rows.
    table: [T, K] weights of the classes in the loss. sample: [row of the data] see `Rows`.
    """

    def __init__(
        self,
        data: BlockDataModule,
        classes: list[str],
        origin: Tensor,
        dtype: torch.dtype,
        keep: bool,
        table: np.ndarray,
        sample: np.ndarray,
    ) -> None:
        self.data, self.classes, self.dtype, self.keep = data, classes, dtype, keep
        self.origin, self._kept = origin, dict[int, Rows]()
        self._table, self._sample = table, sample

    def fetch(self, index: int) -> Block:
        """A block of the data, or in place of one whose rows are kept an empty one of the same index."""
        if index not in self._kept:
            return self.data.block(index)
        nothing = np.zeros(0, np.int64)
        x, y = np.zeros((0, *self.origin.shape), np.float32), np.zeros((0, 1, len(self.data.targets)))
        return Block(index, x, y, nothing, nothing, nothing, np.zeros(0))

    def rows(self, block: Block) -> Rows:
        """Labelled training rows of a block. Raises ProbeError for labels that are no class code."""
        if block.index in self._kept:
            return self._kept[block.index]
        codes, keep = self.labels(block)
        train = np.flatnonzero((block.fold != TEST) & keep & (block.weight > 0))
        weight = block.weight[train]
        loss_weight = weight[:, None] * self._table[np.arange(codes.shape[1]), codes[train]]
        device = self.origin.device
        x = [self._layer(block.x[train, layer], layer) for layer in range(block.x.shape[1])]
        by_row = (codes[train], block.fold[train], self._sample[block.rows[train]], weight, loss_weight)
        arrays = (torch.from_numpy(a).to(device) for a in by_row)
        rows = Rows(x, *arrays)
        if self.keep:
            self._kept[block.index] = rows
        return rows

    def forget(self) -> None:
        """Let go of the kept rows: the Trainer's loaders hold this object for longer than a fit lasts."""
        self._kept.clear()

    def labels(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """[row, T] class codes (0 where there is none) and [row] whether there is one."""
        return class_codes(block, self.classes, self.data)

    def _layer(self, x: np.ndarray, layer: int) -> Tensor:
        wide = torch.float64 if x.dtype == np.float64 else self.dtype
        rows = torch.from_numpy(np.ascontiguousarray(x)).to(self.origin.device, wide)
        return rows.sub_(self.origin[layer].to(wide)).to(self.dtype)


def class_codes(block: Block, classes: list[str], data: BlockDataModule) -> tuple[np.ndarray, np.ndarray]:
    """[row, T] class codes (0 where there is none) and [row] whether there is one; NaN means none.

    Raises ProbeError for several repetitions, and for a label that is no code, naming the row.
    """
    if block.y.shape[1] != 1:
        raise ProbeError(f"A logistic probe takes one label per row, found {block.y.shape[1]} repetitions.")
    y = block.y[:, 0]
    labelled = np.asarray(~np.isnan(y).any(1))
    known = np.where(labelled[:, None], y, 0.0)
    bad = np.flatnonzero(((known % 1 != 0) | (known < 0) | (known >= len(classes))).any(1))
    if len(bad):
        name = data.row_names(block.rows[bad[:1]])[0]
        raise ProbeError(
            f"Row {name} has the label {known[bad[0], 0]:g}; labels are codes from 0 to {len(classes) - 1}, the "
            f"positions of {', '.join(classes)} (NaN for a row without label)."
        )
    return known.astype(np.int64), labelled


def find_origin(data: BlockDataModule, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[L, D] float64: medians of the first training rows, which `dtype` can hold exactly.

    Inputs are taken about it so that a mean far from 0 costs no digits; the fits do not depend on it.
    """
    for index in range(len(data.plan)):
        block = data.block(index)
        train = np.flatnonzero(block.fold != TEST)
        if len(train):
            middle = torch.from_numpy(np.median(block.x[train].astype(np.float64), axis=0))
            return middle.to(device).to(dtype).to(torch.float64)
    raise ProbeError("The training part has no rows.")
