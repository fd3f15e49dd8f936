"""Sums of a second pass, at fits that the first one gave: held-out scores, and projections of the training rows.

Fits nothing. Shapes: L layer, F fold, A penalty, K class, C column (classes of all targets of a part), D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.waves import Part

_NEVER = 5e3  # a loss above it is that of a class without training rows


@dataclass(frozen=True)
class FoldFits:
    """Fits of one part to all folds but one. weights [L, F, A, C, D] and offset [L, F, A, C] for inputs minus mean
    [L, D]; columns: of each of the part's targets."""

    part: Part
    weights: Tensor
    offset: Tensor
    mean: Tensor
    columns: list[slice]


class HeldOutSums:
    """Per part [L, F, A, T, 3] weighted log-loss, right answers and weight of each fold's rows."""

    def __init__(self, fits: list[FoldFits]) -> None:
        self.fits = fits
        self.held = [f.offset.new_zeros(*f.offset.shape[:3], len(f.columns), 3) for f in fits]

    def add(self, block: Block) -> None:
        for fits, held in zip(self.fits, self.held, strict=True):
            rows = fits.part.view(block)
            for fold in range(held.shape[1]):
                here = np.flatnonzero((rows.fold == fold) & (rows.weight > 0) & ~np.isnan(rows.y[:, 0]).any(1))
                if len(here):
                    self._add(fits, held, rows, here, fold)

    def state_dict(self) -> dict[str, Tensor]:
        return {str(i): held for i, held in enumerate(self.held)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for i, held in enumerate(self.held):
            held.copy_(state[str(i)])

    def all_reduced(self) -> HeldOutSums:
        out = HeldOutSums(self.fits)
        for mine, total in zip(self.held, out.held, strict=True):
            total.copy_(mine)
            dist.all_reduce(total)
        return out

    def _add(self, fits: FoldFits, held: Tensor, rows: Block, here: np.ndarray, fold: int) -> None:
        marks = torch.from_numpy(rows.y[here, 0]).to(held)
        weight = torch.from_numpy(rows.weight[here]).to(held)
        for layer in range(len(held)):
            x = torch.from_numpy(rows.x[here, layer]).to(held) - fits.mean[layer]
            logits = torch.einsum("nd,acd->nac", x, fits.weights[layer, fold]) + fits.offset[layer, fold]
            for target, columns in enumerate(fits.columns):
                logs, label = logits[..., columns].log_softmax(-1), marks[:, None, columns]
                loss = -(logs * label).sum(-1)
                known = (loss < _NEVER).to(loss.dtype) * weight[:, None]
                right = known * (logs.argmax(-1) == label.argmax(-1))
                loss = torch.where(loss < _NEVER, loss, 0.0)
                held[layer, fold, :, target] += torch.stack([loss * known, right, known], -1).sum(0)


class Projections:
    """Per part [L, row, F + 1, J] projections of the training rows, in the order of their numbers, on directions
    [L, F + 1, J, D], of inputs minus mean [L, D]."""

    def __init__(self, data: BlockDataModule, directions: list[Tensor], means: list[Tensor]) -> None:
        self.directions, self.means = directions, means
        train = np.flatnonzero(data.fold != TEST)
        self.place = np.full(len(data.fold), -1)
        self.place[train] = np.arange(len(train))
        self.values = [d.new_zeros(d.shape[0], len(train), *d.shape[1:3]) for d in directions]

    def add(self, block: Block) -> None:
        train = np.flatnonzero(block.fold != TEST)
        place = torch.from_numpy(self.place[block.rows[train]])
        for directions, means, values in zip(self.directions, self.means, self.values, strict=True):
            for layer in range(len(values)):
                x = torch.from_numpy(block.x[train, layer]).to(values) - means[layer]
                values[layer, place.to(values.device)] = torch.einsum("nd,fjd->nfj", x, directions[layer])

    def state_dict(self) -> dict[str, Tensor]:
        return {str(i): values for i, values in enumerate(self.values)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for i, values in enumerate(self.values):
            values.copy_(state[str(i)])

    def all_reduced(self) -> Projections:
        out = object.__new__(Projections)
        vars(out).update(vars(self))
        out.values = [values.clone() for values in self.values]
        for values in out.values:
            dist.all_reduce(values)
        return out
