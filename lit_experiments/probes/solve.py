"""Ridge from moments: all targets and penalties of a layer at once. Knows no data and no Lightning.

The problem is scikit-learn's StandardScaler followed by Ridge: minimise |y - c - Z b|^2 + a |b|^2 with Z = (x - mean)
/ scale, scale the population standard deviation, the intercept c unpenalised. With Z'Z = V diag(w) V', b = V (V'Z'y /
(w + a)) for every a. Cross-validation fits the scaler and the weights on the other folds and takes the held-out error
from the held-out fold's moments: sum (y - c - Z b)^2 = y'y - 2 b'Z'y + b'Z'Z b, all about the training means. Shapes:
L layer, D hidden, T target, F fold, A penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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

    A prediction is coef . (x - mean) / scale + y_mean + offset.

    penalties [A]; mean, scale [L, D] of the training rows (of those that have the first target, where targets lack
    different rows); y_mean [T]; offset [L, T], not 0 only for targets of other rows than the first; coef [L, T, D] for
    standardised inputs at each layer's and target's chosen penalty; cv_mse [L, F, A, T] held-out mean squared errors
    (F is 0 without cross-validation); penalty_index [L, T]; layer_index [T] the layer with the smallest
    cross-validated error; rows: weight of the training part, that of the target with most; target_rows [T].
    """

    penalties: Tensor
    mean: Tensor
    scale: Tensor
    y_mean: Tensor
    offset: Tensor
    coef: Tensor
    cv_mse: Tensor
    penalty_index: Tensor
    layer_index: Tensor
    rows: float
    target_rows: Tensor


class LayerFit(NamedTuple):
    """The fits of one layer to targets that the same rows have: n [], mean, scale [D], y_mean [T], coef [T, D] for
    standardised inputs, cv_mse [F, A, T], penalty_index [T]."""

    n: Tensor
    mean: Tensor
    scale: Tensor
    y_mean: Tensor
    coef: Tensor
    cv_mse: Tensor
    penalty_index: Tensor


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
    check_choice(len(grid), n_layers, n_folds)
    alphas = torch.tensor(grid, dtype=torch.float64, device=moments.count.device)
    fits = [solve_layer(moments, layer, alphas) for layer in range(n_layers)]
    return solution_of([(list(range(moments.y.shape[1])), fits)], grid)


def solution_of(parts: list[tuple[list[int], list[LayerFit]]], penalties: list[float]) -> Solution:
    """From the fits of every group of targets that the same rows have: (their positions, one fit per layer).

    Filled in layer by layer: the coefficients of hundreds of targets in a wide model are held twice, never more often.
    """
    first = parts[0][1]
    n_targets, n_layers = sum(len(targets) for targets, _ in parts), len(first)
    number = torch.empty(0, dtype=torch.float64)
    coef, offset = number.new_empty(n_layers, n_targets, len(first[0].mean)), number.new_empty(n_layers, n_targets)
    cv_mse = number.new_empty(n_layers, *first[0].cv_mse.shape[:-1], n_targets)
    penalty_index = torch.empty(n_layers, n_targets, dtype=torch.int64)
    y_mean, weight = number.new_empty(n_targets), number.new_empty(n_targets)
    for targets, fits in parts:
        for layer, (base, fit) in enumerate(zip(first, fits, strict=True)):
            part_coef, part_offset = _in_units_of(base, fit)
            coef[layer, targets], offset[layer, targets] = part_coef.cpu(), part_offset.cpu()
            cv_mse[layer, ..., targets], penalty_index[layer, targets] = fit.cv_mse.cpu(), fit.penalty_index.cpu()
        y_mean[targets], weight[targets] = fits[0].y_mean.cpu(), fits[0].n.cpu()
    best = cv_mse.mean(1).amin(1) if cv_mse.shape[1] else cv_mse.new_zeros(n_layers, n_targets)
    return Solution(
        penalties=torch.tensor(penalties, dtype=torch.float64),
        mean=torch.stack([fit.mean.cpu() for fit in first]),
        scale=torch.stack([fit.scale.cpu() for fit in first]),
        y_mean=y_mean,
        offset=offset,
        coef=coef,
        cv_mse=cv_mse,
        penalty_index=penalty_index,
        layer_index=best.argmin(0),
        rows=float(weight.max()),
        target_rows=weight,
    )


def _in_units_of(base: LayerFit, fit: LayerFit) -> tuple[Tensor, Tensor]:
    """coef [T, D] and offset [T] of a layer's predictions, for inputs standardised as `base` does."""
    if fit is base:
        return fit.coef, fit.coef.new_zeros(len(fit.coef))
    weights = fit.coef / fit.scale
    return weights * base.scale, weights @ (base.mean - fit.mean)


def check_choice(penalties: int, layers: int, folds: int) -> None:
    """Raises ProbeError if there is something to choose, but only one fold to do it by."""
    if folds < 2 and (penalties > 1 or layers > 1):
        raise ProbeError(
            f"{penalties} penalties and {layers} layers leave a choice, which takes cross-validation, "
            f"but folds is {folds}. Give folds: 5, or one penalty and one layer."
        )


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
    mean = moments.shift[layer] + shifted
    scale, live = scale_of(gram.diagonal().clamp_min(0) / n, mean, n)
    return Standardised(n, mean, scale, moments.y_shift + y / n, gram * torch.outer(live, live), cross * live[:, None])


def scale_of(variance: Tensor, mean: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """scale [D], 1 for inputs that do not vary, and its inverse [D], 0 for these; n: weight of the rows."""
    constant = variance <= n * _EPS * variance + (n * mean * _EPS) ** 2  # as StandardScaler decides it
    scale = torch.where(constant, torch.ones_like(variance), variance.sqrt())
    return scale, (~constant).to(torch.float64) / scale


def coefficients(fit: Standardised, penalties: Tensor) -> Tensor:
    """[A, T, D] ridge coefficients of standardised inputs for every penalty."""
    return penalised(fit.gram, fit.cross, penalties)


def penalised(gram: Tensor, cross: Tensor, penalties: Tensor) -> Tensor:
    """[A, T, M] solutions b of (gram + a) b = cross for every penalty a; gram: [M, M], cross: [M, T].

    A few penalties are solved one by one, many through one eigendecomposition; so are penalties so small that they
    drown in the rounding of the matrix, where directions without variance get no weight (the least-squares solution
    of least norm).
    """
    rounding = len(gram) * _EPS * gram.trace()
    if len(penalties) <= _CHOLESKY_PENALTIES and bool((penalties > rounding).all()):
        return torch.stack([_by_cholesky(gram, cross, penalty) for penalty in penalties])
    return _by_eigenvectors(gram, cross, penalties)


def _by_cholesky(gram: Tensor, cross: Tensor, penalty: Tensor) -> Tensor:
    shifted = gram.clone()
    shifted.diagonal().add_(penalty)
    return torch.cholesky_solve(cross, torch.linalg.cholesky(shifted)).T


def _by_eigenvectors(gram: Tensor, cross: Tensor, penalties: Tensor) -> Tensor:
    w, v = torch.linalg.eigh(gram)
    w, alphas = w.clamp_min(0)[None, :, None], penalties[:, None, None]
    rounding = len(gram) * _EPS * w.max()
    shrunk = torch.where((w > rounding) | (alphas > rounding), (v.T @ cross) / (w + alphas), 0.0)
    # The eigenvectors leave rounding in dims that do not vary; their weight is 0.
    return (v @ shrunk).transpose(1, 2) * (gram.diagonal() > 0)


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


def solve_layer(moments: Moments, layer: int, penalties: Tensor) -> LayerFit:
    """One layer's fits, each target at its chosen penalty."""
    folds = list(range(len(moments.count)))
    errors = [_fold_errors(moments, layer, penalties, folds, f) for f in folds] if len(folds) > 1 else []
    fit = standardise(moments, layer, folds)
    cv_mse, index = choice_of(errors, penalties, moments.y.shape[1])
    coef = coefficients(fit, penalties)[index, torch.arange(len(index), device=index.device)]
    return LayerFit(fit.n, fit.mean, fit.scale, fit.y_mean, coef, cv_mse, index)


def choice_of(errors: list[Tensor], penalties: Tensor, targets: int) -> tuple[Tensor, Tensor]:
    """cv_mse [F, A, T] of the folds' errors [A, T], and the penalty [T] of the smallest mean; the first without any."""
    cv_mse = torch.stack(errors) if errors else penalties.new_zeros(0, len(penalties), targets)
    if errors:
        return cv_mse, cv_mse.mean(0).argmin(0)
    return cv_mse, torch.zeros(targets, dtype=torch.int64, device=penalties.device)


def _fold_errors(moments: Moments, layer: int, penalties: Tensor, folds: list[int], held_out: int) -> Tensor:
    fit = standardise(moments, layer, [f for f in folds if f != held_out])
    return held_out_mse(fit, coefficients(fit, penalties), moments, layer, held_out)
