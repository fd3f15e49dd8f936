"""Ridge from rows in memory, one layer at a time: all targets, folds and penalties. Knows no store and no Lightning.

The same problem as `probes.solve`, solved through whichever is smaller, the rows' or the features' products: with fewer
rows than hidden dims, b = Z~' (Z~ Z~' + a)^-1 y~ with Z~ and y~ the standardised rows and the centred targets times the
square roots of the rows' weights. Shapes: N row, D hidden, T target, F fold, A penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.solve import LayerFit, choice_of, penalised, scale_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RowTargets:
    """Targets of rows. weight [N], 0 for rows that have none; y [N, T], the mean of a row's repetitions; within
    [N, T], their weighted squared distances from it; fold [N]. float64, fold int64."""

    weight: Tensor
    y: Tensor
    within: Tensor
    fold: Tensor

    @classmethod
    def of(cls, block: Block, device: torch.device) -> RowTargets:
        """Of a block's rows, whose x is not looked at."""
        y = torch.from_numpy(np.asarray(block.y, np.float64)).to(device)
        present = ~y.isnan().all(-1)
        count, weight = present.sum(1), torch.from_numpy(block.weight).to(device)
        mean = torch.nan_to_num(y).sum(1) / count.clamp_min(1)[:, None]
        within = torch.nan_to_num((y - mean[:, None]) ** 2).sum(1) * weight[:, None]
        return cls(count * weight, mean, within, torch.from_numpy(block.fold).to(device))


@dataclass(frozen=True)
class StandardRows:
    """Rows standardised on the training rows among them. n []; mean, scale, inverse [D], inverse 0 for dims that do not
    vary; z [N, D] all rows; root [N] square roots of the weights of training rows, 0 for the others."""

    n: Tensor
    mean: Tensor
    scale: Tensor
    inverse: Tensor
    z: Tensor
    root: Tensor

    @classmethod
    def of(cls, x: Tensor, weight: Tensor) -> StandardRows:
        """x: [N, D] float64; weight: [N], 0 for rows that are not trained on."""
        n = weight.sum()
        mean = (weight @ x) / n
        z = x - mean
        scale, inverse = scale_of((weight @ z**2) / n, mean, n)
        return cls(n, mean, scale, inverse, z.mul_(inverse), weight.sqrt())

    def training(self) -> Tensor:
        """Positions [n] of the training rows."""
        return torch.nonzero(self.root)[:, 0]


def solve_rows(x: Tensor, rows: RowTargets, penalties: Tensor, folds: list[int]) -> LayerFit:
    """One layer's fits, each target at the penalty of its smallest mean held-out error over the folds.

    x: [N, D] float64; rows of weight 0 take no part. One fold means no cross-validation.
    """
    errors = [_fold_errors(x, rows, penalties, fold) for fold in folds] if len(folds) > 1 else []
    cv_mse, index = choice_of(errors, penalties, rows.y.shape[1])
    fit = StandardRows.of(x, rows.weight)
    y_mean, train = (rows.weight @ rows.y) / fit.n, fit.training()
    weighted = fit.z[train] * fit.root[train, None]
    target = (rows.y[train] - y_mean) * fit.root[train, None]
    columns = torch.arange(len(index), device=index.device)
    if len(train) < x.shape[1]:
        coef = penalised(weighted @ weighted.T, target, penalties)[index, columns] @ weighted
    else:
        coef = penalised(weighted.T @ weighted, weighted.T @ target, penalties)[index, columns]
    return LayerFit(fit.n, fit.mean, fit.scale, y_mean, coef, cv_mse, index)


def _fold_errors(x: Tensor, rows: RowTargets, penalties: Tensor, fold: int) -> Tensor:
    """[A, T] mean squared errors on a fold of fits to the others."""
    held = torch.nonzero((rows.fold == fold) & (rows.weight > 0))[:, 0]
    fit = StandardRows.of(x, torch.where(rows.fold == fold, 0.0, rows.weight))
    y_mean, train = ((fit.root**2) @ rows.y) / fit.n, fit.training()
    weighted = fit.z[train] * fit.root[train, None]
    target = (rows.y[train] - y_mean) * fit.root[train, None]
    if len(train) < x.shape[1]:
        dual = penalised(weighted @ weighted.T, target, penalties)
        predicted = (fit.z[held] @ weighted.T) @ dual.transpose(1, 2)
    else:
        predicted = fit.z[held] @ penalised(weighted.T @ weighted, weighted.T @ target, penalties).transpose(1, 2)
    weight = rows.weight[held]
    squares = rows.within[held] + weight[:, None] * (rows.y[held] - y_mean - predicted) ** 2
    return squares.sum(1) / weight.sum()


@dataclass(frozen=True)
class Ridge:
    """weights [hidden] and intercept in the units of the states; the penalty is that of standardised inputs."""

    weights: Floats
    intercept: float
    penalty: float

    def predict(self, x: Floats) -> Floats:
        """[row] from [row, hidden]."""
        return x @ self.weights + self.intercept


def choose_ridge(x: Floats, y: Floats, fold: Ints, penalties: list[float]) -> Ridge:
    """The ridge on all rows, x [row, hidden] and y [row], with the penalty of least mean held-out squared error."""
    values = torch.from_numpy(np.asarray(y, np.float64)[:, None])
    rows = RowTargets(torch.ones(len(y), dtype=torch.float64), values, torch.zeros_like(values), torch.from_numpy(fold))
    folds = np.unique(fold).tolist() if len(penalties) > 1 else [0]
    grid = torch.tensor(penalties, dtype=torch.float64)
    fit = solve_rows(torch.from_numpy(np.ascontiguousarray(x, np.float64)), rows, grid, folds)
    weights = (fit.coef[0] / fit.scale).numpy()
    return Ridge(weights, float(fit.y_mean - fit.mean.numpy() @ weights), float(grid[fit.penalty_index[0]]))
