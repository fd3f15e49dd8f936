"""Class fits in closed form, put together as the solution that logistic fits have. Fits nothing.

Shapes: L layer, T a target and its shuffles, F fold, A penalty, K class, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_parts import ClassLabels
from lit_experiments.probes.class_solution import ClassSolution, Fits
from lit_experiments.probes.data import BlockDataModule


@dataclass(frozen=True)
class ClosedFit:
    """One layer's fits of one target. weights [A, K, D] and offset [A, K] for inputs minus mean [D]; scale [D], in
    whose units the coefficients are stated; held [F, A, 3]: loss, right answers and rows of the held-out folds;
    labelled [F] their rows with a label."""

    weights: Tensor
    offset: Tensor
    mean: Tensor
    scale: Tensor
    held: Tensor
    labelled: Tensor

    def names(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return dict(vars(self))


def class_solution(
    data: BlockDataModule,
    labels: ClassLabels,
    target: int,
    fits: list[list[ClosedFit]],
    penalties: list[float],
    passes: int,
) -> ClassSolution:
    """Of a real target. fits: [L][T], the target's, then its shuffles'."""
    classes = labels.classes[labels.column(target)]
    held = torch.stack([torch.stack([fit.held for fit in row], 2) for row in fits]).cpu()
    loss, right, rows = (held[..., i] for i in range(3))
    cv_loss, cv_accuracy = loss / rows, right / rows
    shape = (len(fits), len(fits[0]))
    chosen = torch.zeros(shape, dtype=torch.int64)
    best = torch.zeros(shape[1], dtype=torch.int64)
    if held.shape[1]:
        chosen = cv_loss.nanmean(1).argmin(1)
        best = cv_loss.nanmean(1).amin(1).argmin(0)
    mean, scale = (torch.stack([getattr(row[0], name) for row in fits]).cpu() for name in ("mean", "scale"))
    coef = torch.stack(
        [torch.stack([f.weights[chosen[i, j]].cpu() for j, f in enumerate(row)]) for i, row in enumerate(fits)]
    )
    moved = torch.stack([torch.stack([mean[i] - f.mean.cpu() for f in row]) for i, row in enumerate(fits)])
    offset = torch.stack(
        [torch.stack([f.offset[chosen[i, j]].cpu() for j, f in enumerate(row)]) for i, row in enumerate(fits)]
    )
    codes = labels.codes[data.fold != TEST, labels.column(target)]
    weight = data.row_weights(np.flatnonzero(data.fold != TEST))
    share = np.bincount(codes[codes >= 0], weight[codes >= 0], len(classes))
    labelled = torch.stack([fit.labelled for fit in fits[0]], 1).cpu()
    cv_rows = rows[0, :, 0] if held.shape[1] else rows.new_zeros(0, shape[1])
    return ClassSolution(
        classes=tuple(classes),
        penalties=torch.tensor(penalties, dtype=torch.float64),
        mean=mean,
        scale=scale,
        coef=coef * scale[:, None, None, :],
        intercept=offset + (coef @ moved[..., None])[..., 0],
        share=torch.from_numpy(share / share.sum()),
        cv_loss=cv_loss,
        cv_accuracy=cv_accuracy,
        cv_rows=cv_rows,
        cv_left_out=labelled - cv_rows,
        penalty_index=chosen,
        layer_index=best,
        final=_closed(shape),
        chosen_from=_closed(tuple(cv_loss.shape)),
        rows=int((codes >= 0).sum()),
        passes=passes,
    )


def _closed(shape: tuple[int, ...]) -> Fits:
    """Nothing was iterated."""
    nothing = torch.full(shape, torch.nan, dtype=torch.float64)
    return Fits(nothing, nothing, torch.zeros(shape, dtype=torch.int64), torch.ones(shape, dtype=torch.bool))
