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
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.row_products import RowProducts
from lit_experiments.probes.solve import LayerFit, choice_of, penalised, solve_layer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_BLOCK = 4096
"""Rows that are added to moments at a time."""


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

    def y_variance(self) -> Tensor:
        """[T] of the targets, repetitions among them."""
        n = self.weight.sum()
        mean = self.weight @ self.y / n
        return (self.within.sum(0) + self.weight @ (self.y - mean) ** 2) / n


def solve_rows(x: Tensor, rows: RowTargets, penalties: Tensor, folds: list[int]) -> LayerFit:
    """One layer's fits, each target at the penalty of its smallest mean held-out error over the folds.

    x: [N, D] of any floats; rows of weight 0 take no part. One fold means no cross-validation.
    """
    used = torch.nonzero(rows.weight > 0)[:, 0]
    if len(used) < len(x):
        x, rows = x[used], RowTargets(rows.weight[used], rows.y[used], rows.within[used], rows.fold[used])
    if len(x) >= x.shape[1]:
        return _through_moments(x, rows, penalties, folds)
    errors = [_fold_errors(x, rows, penalties, fold) for fold in folds] if len(folds) > 1 else []
    cv_mse, index = choice_of(errors, penalties, rows.y.shape[1])
    fit = RowProducts.of(x, rows.weight)
    y_mean, target = _centred(fit, rows)
    dual = penalised(fit.weighted(), target, penalties)[index, torch.arange(len(index), device=index.device)]
    return LayerFit(fit.n, fit.mean, fit.scale, y_mean, fit.combined(dual), cv_mse, index)


def _fold_errors(x: Tensor, rows: RowTargets, penalties: Tensor, fold: int) -> Tensor:
    """[A, T] mean squared errors on a fold of fits to the others."""
    held = torch.nonzero(rows.fold == fold)[:, 0]
    fit = RowProducts.of(x, torch.where(rows.fold == fold, 0.0, rows.weight))
    y_mean, target = _centred(fit, rows)
    train = fit.training()
    across = fit.gram[held][:, train] * fit.root[train]
    predicted = across @ penalised(fit.weighted(), target, penalties).transpose(1, 2)
    weight = rows.weight[held]
    squares = rows.within[held] + weight[:, None] * (rows.y[held] - y_mean - predicted) ** 2
    return squares.sum(1) / weight.sum()


def _centred(fit: RowProducts, rows: RowTargets) -> tuple[Tensor, Tensor]:
    """y_mean [T] of the training rows, and [n, T] their distances from it, times the square roots of the weights."""
    train = fit.training()
    y_mean = ((fit.root**2) @ rows.y) / fit.n
    return y_mean, (rows.y[train] - y_mean) * fit.root[train, None]


def _through_moments(x: Tensor, rows: RowTargets, penalties: Tensor, folds: list[int]) -> LayerFit:
    """The same of as many rows as dims, or more: their products are larger than those of the dims."""
    moments = Moments.zeros(len(folds), 1, x.shape[1], rows.y.shape[1], x.device)
    place = {fold: number for number, fold in enumerate(folds)}
    for start in range(0, len(x), _BLOCK):
        part = slice(start, start + _BLOCK)
        weight, y, within, fold = (t[part].cpu().numpy() for t in (rows.weight, rows.y, rows.within, rows.fold))
        code = np.array([place[f] for f in fold.tolist()] if len(folds) > 1 else np.zeros(len(fold)), np.int64)
        numbers = np.arange(len(code))
        moments.add(Block(0, x[part, None].cpu().numpy(), y[:, None], numbers, code, numbers, weight))
        moments.yy.index_add_(0, torch.from_numpy(code).to(x.device), torch.from_numpy(within).to(x.device))
    return solve_layer(moments, 0, penalties)


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
    fit = solve_rows(torch.from_numpy(np.asarray(x, np.float64)), rows, grid, folds)
    weights = (fit.coef[0] / fit.scale).numpy()
    return Ridge(weights, float(fit.y_mean - fit.mean.numpy() @ weights), float(grid[fit.penalty_index[0]]))
