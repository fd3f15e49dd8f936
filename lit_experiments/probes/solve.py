"""Ridge from moments: all targets and penalties of a layer at once. Knows no data and no Lightning.

The problem is scikit-learn's StandardScaler followed by Ridge: minimise |y - c - Z b|^2 + a |b|^2 with Z = (x - mean)
/ scale, scale the population standard deviation, the intercept c unpenalised. With Z'Z = V diag(w) V', b = V (V'Z'y /
(w + a)) for every a. Cross-validation fits the scaler and the weights on the other folds and takes the held-out error
from the held-out fold's moments: sum (y - c - Z b)^2 = y'y - 2 b'Z'y + b'Z'Z b, all about the training means. Shapes:
L layer, D hidden, T target, F fold, A penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.moments import Moments

_EPS = torch.finfo(torch.float64).eps
_CHOLESKY_PENALTIES = 16
"""Up to so many Cholesky factorisations are used instead of an eigendecomposition, which costs 8 of them at 768 hidden
dims and 40 at 2048 (measured on two cores)."""


@dataclass(frozen=True)
class Solution:
    """The chosen fits. All tensors float64 on the CPU (indices int64).

    penalties [A]; mean, scale [L, D]; y_mean [T]; coef [L, T, D] for standardised inputs at each layer's and target's
    chosen penalty; cv_mse [L, F, A, T] held-out mean squared errors (F is 0 without cross-validation); penalty_index
    [L, T]; layer_index [T] the layer with the smallest cross-validated error; rows: weight of the training part.
    """

    penalties: Tensor
    mean: Tensor
    scale: Tensor
    y_mean: Tensor
    coef: Tensor
    cv_mse: Tensor
    penalty_index: Tensor
    layer_index: Tensor
    rows: float


@dataclass(frozen=True)
class Standardised:
    """One layer's standardised training sums: n, mean [D], scale [D], y_mean [T], gram [D, D], cross [D, T]."""

    n: Tensor
    mean: Tensor
    scale: Tensor
    y_mean: Tensor
    gram: Tensor
    cross: Tensor


def solve(moments: Moments, penalties: list[float]) -> Solution:
    """Fit every layer, target and penalty; choose penalties and the layer by cross-validation over the moments' folds.

    Each target gets its own penalty and layer: those with the smallest mean over folds of the held-out mean squared
    error. Raises ProbeError if there is something to choose but only one fold.
    """
    grid = check_penalties(penalties)
    n_folds, n_layers = moments.x.shape[:2]
    if n_folds < 2 and (len(grid) > 1 or n_layers > 1):
        raise ProbeError(
            f"{len(grid)} penalties and {n_layers} layers leave a choice, which takes cross-validation, "
            f"but folds is {n_folds}. Give folds: 5, or one penalty and one layer."
        )
    alphas = torch.tensor(grid, dtype=torch.float64, device=moments.count.device)
    per_layer = [_solve_layer(moments, layer, alphas) for layer in range(n_layers)]
    mean, scale, y_mean, coef, errors, chosen = (torch.stack([p[i] for p in per_layer]).cpu() for i in range(6))
    best = errors.mean(1).amin(1) if errors.shape[1] else torch.zeros(n_layers, coef.shape[1], dtype=torch.float64)
    rows = float(moments.count.sum())
    return Solution(alphas.cpu(), mean, scale, y_mean[0], coef, errors, chosen, best.argmin(0), rows)


def check_penalties(penalties: list[float]) -> list[float]:
    """Sorted distinct penalties; raises ProbeError unless there is one and all are positive."""
    grid = sorted({float(p) for p in penalties})
    if not grid or not all(0 < p < float("inf") for p in grid):
        raise ProbeError(f"Ridge penalties must be positive numbers, at least one; found {penalties}.")
    return grid


def standardise(moments: Moments, layer: int, folds: list[int]) -> Standardised:
    """Training sums of some folds in standardised units.

    Folds are added up, not subtracted from the total, so that an outlier in the held-out fold costs no digits here.
    """
    n, x, y = moments.count[folds].sum(), moments.x[folds, layer].sum(0), moments.y[folds].sum(0)
    upper = moments.xx[folds, layer].sum(0).triu()
    shifted = x / n
    gram = upper + upper.triu(1).T - n * torch.outer(shifted, shifted)
    cross = moments.xy[folds, layer].sum(0) - torch.outer(shifted, y)
    variance = gram.diagonal().clamp_min(0) / n
    mean = moments.shift[layer] + shifted
    constant = variance <= n * _EPS * variance + (n * mean * _EPS) ** 2  # as StandardScaler decides it
    scale = torch.where(constant, torch.ones_like(variance), variance.sqrt())
    live = (~constant).to(torch.float64) / scale
    return Standardised(n, mean, scale, moments.y_shift + y / n, gram * torch.outer(live, live), cross * live[:, None])


def coefficients(fit: Standardised, penalties: Tensor) -> Tensor:
    """[A, T, D] ridge coefficients of standardised inputs for every penalty.

    A few penalties are solved one by one, many through one eigendecomposition; so are penalties so small that they
    drown in the rounding of the matrix, where directions without variance get no weight (the least-squares solution
    of least norm).
    """
    rounding = len(fit.gram) * _EPS * fit.gram.trace()
    if len(penalties) <= _CHOLESKY_PENALTIES and bool((penalties > rounding).all()):
        return torch.stack([_by_cholesky(fit, penalty) for penalty in penalties])
    return _by_eigenvectors(fit, penalties)


def _by_cholesky(fit: Standardised, penalty: Tensor) -> Tensor:
    shifted = fit.gram.clone()
    shifted.diagonal().add_(penalty)
    return torch.cholesky_solve(fit.cross, torch.linalg.cholesky(shifted)).T


def _by_eigenvectors(fit: Standardised, penalties: Tensor) -> Tensor:
    w, v = torch.linalg.eigh(fit.gram)
    w, alphas = w.clamp_min(0)[None, :, None], penalties[:, None, None]
    rounding = len(fit.gram) * _EPS * w.max()
    shrunk = torch.where((w > rounding) | (alphas > rounding), (v.T @ fit.cross) / (w + alphas), 0.0)
    # The eigenvectors leave rounding in dims that do not vary; their weight is 0.
    return (v @ shrunk).transpose(1, 2) * (fit.gram.diagonal() > 0)


def held_out_mse(fit: Standardised, coef: Tensor, moments: Moments, layer: int, fold: int) -> Tensor:
    """[A, T] mean squared error on a fold that `fit` has not seen, from that fold's moments. coef: [A, T, D]."""
    n, x, y = moments.count[fold], moments.x[fold, layer], moments.y[fold]
    d, e = moments.shift[layer] - fit.mean, moments.y_shift - fit.y_mean
    live = (fit.gram.diagonal() > 0).to(torch.float64) / fit.scale
    upper = moments.xx[fold, layer].triu()
    mixed = torch.outer(x, d)
    gram = (upper + upper.triu(1).T + mixed + mixed.T + n * torch.outer(d, d)) * torch.outer(live, live)
    cross = (moments.xy[fold, layer] + torch.outer(d, y) + torch.outer(x + n * d, e)) * live[:, None]
    yy = moments.yy[fold] + 2 * y * e + n * e**2
    explained = 2 * (coef * cross.T).sum(-1) - ((coef.flatten(0, 1) @ gram).view_as(coef) * coef).sum(-1)
    return (yy - explained) / n


def _solve_layer(moments: Moments, layer: int, penalties: Tensor) -> tuple[Tensor, ...]:
    """mean, scale, y_mean, coef [T, D], cv_mse [F, A, T] and penalty_index [T] of one layer."""
    folds = list(range(len(moments.count)))
    n_targets = moments.y.shape[1]
    errors = [_fold_errors(moments, layer, penalties, folds, f) for f in folds] if len(folds) > 1 else []
    cv_mse = torch.stack(errors) if errors else penalties.new_zeros(0, len(penalties), n_targets)
    index = cv_mse.mean(0).argmin(0) if errors else torch.zeros(n_targets, dtype=torch.int64, device=penalties.device)
    fit = standardise(moments, layer, folds)
    coef = coefficients(fit, penalties)[index, torch.arange(n_targets, device=index.device)]
    return fit.mean, fit.scale, fit.y_mean, coef, cv_mse, index


def _fold_errors(moments: Moments, layer: int, penalties: Tensor, folds: list[int], held_out: int) -> Tensor:
    fit = standardise(moments, layer, [f for f in folds if f != held_out])
    return held_out_mse(fit, coefficients(fit, penalties), moments, layer, held_out)
