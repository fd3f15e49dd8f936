"""What one pass learns before a logistic fit: means and scales per fold, class counts, and a sample's covariance.

Owns the standardisation (scikit-learn's, fitted on each fit's own training rows) and the eigenbasis in which the
optimiser works. Shapes: F fold, L layer, D hidden, T target, K class.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_EPS = torch.finfo(torch.float64).eps
_SAMPLE_PER_DIM = 8
"""Rows per hidden dim whose covariance is taken: it only shapes the optimiser's coordinates, never the optimum."""
_RANK = 1024
"""Eigenvectors kept per layer; the directions beyond share one eigenvalue, their mean."""


@dataclass
class ClassSums:
    """Sums over training rows with a label, about `origin` [L, D].

    count [F]; x, squares [F, L, D] float64; classes [F, T, K] labels; sampled [1] rows in gram; sample [L, D] their
    sum; gram [L, D, D] float32 their products.
    """

    origin: Tensor
    count: Tensor
    x: Tensor
    squares: Tensor
    classes: Tensor
    sampled: Tensor
    sample: Tensor
    gram: Tensor

    @classmethod
    def zeros(cls, folds: int, origin: Tensor, targets: int, classes: int) -> ClassSums:
        """Empty sums about origin [L, D] float64."""
        layers, hidden = origin.shape
        count, sums = origin.new_zeros(folds), origin.new_zeros(folds, layers, hidden)
        gram = torch.zeros(layers, hidden, hidden, dtype=torch.float32, device=origin.device)
        labels = origin.new_zeros(folds, targets, classes)
        return cls(origin, count, sums, sums.clone(), labels, origin.new_zeros(1), torch.zeros_like(origin), gram)

    def add(self, x: list[Tensor], y: Tensor, fold: Tensor, sampled: Tensor) -> None:
        """x: per layer [row, D] less the origin; y: [row, T] class codes; fold: [row]; sampled: [row] bool."""
        member = torch.nn.functional.one_hot(fold, len(self.count)).to(self.count.dtype)
        self.count += member.sum(0)
        labels = torch.nn.functional.one_hot(y, self.classes.shape[-1]).to(self.count.dtype)
        self.classes += torch.einsum("rf,rtk->ftk", member, labels)
        self.sampled += sampled.sum()
        for layer, rows in enumerate(x):
            z = rows.to(torch.float64, copy=True)
            self.x[:, layer] += member.T @ z
            some = rows[sampled].to(torch.float32)
            self.sample[layer] += some.sum(0, dtype=torch.float64)
            self.gram[layer].addmm_(some.T, some)
            self.squares[:, layer] += member.T @ z.square_()

    def tensors(self) -> list[Tensor]:
        """The tensors to add up over ranks."""
        return [getattr(self, f.name) for f in fields(self) if f.name != "origin"]


def in_sample(rows: NDArray[np.int64], total: int, hidden: int) -> NDArray[np.bool_]:
    """Which rows the covariance is taken from: by a hash of the row number, whatever block the row comes in."""
    share = min(1.0, _SAMPLE_PER_DIM * hidden / max(total, 1))
    return (rows.astype(np.uint64) * np.uint64(2654435761)) % np.uint64(2**32) < np.uint64(int(share * 2**32))


@dataclass(frozen=True)
class Standard:
    """Standardisation per layer and held-out fold (index F: none held out).

    n [F + 1]; mean, inverse [F + 1, L, D]: z = (x - mean) * inverse, inverse 0 for features that do not vary;
    prior [F + 1, T, K] class shares.
    """

    n: Tensor
    mean: Tensor
    inverse: Tensor
    prior: Tensor

    @property
    def scale(self) -> Tensor:
        """[L, D] of the whole training part, 1 for features that do not vary, as StandardScaler has it."""
        return torch.where(self.inverse[-1] > 0, 1 / self.inverse[-1].where(self.inverse[-1] > 0, 1.0), 1.0)

    @classmethod
    def of(cls, sums: ClassSums) -> Standard:
        """From the sums of all folds but one, and of all."""
        n, x, squares, labels = (_without_each(t) for t in (sums.count, sums.x, sums.squares, sums.classes))
        size = n.clamp_min(1)[:, None, None]
        about = x / size
        mean = sums.origin + about
        spread = (squares - size * about**2).clamp_min(0)
        constant = spread <= size * _EPS * spread + (size * mean * _EPS) ** 2  # as StandardScaler decides it
        inverse = torch.where(constant, 0.0, (spread / size).where(~constant, 1.0).rsqrt())
        return cls(n, mean, inverse, labels / size)


def _without_each(by_fold: Tensor) -> Tensor:
    """Sums of all folds but one, and of all; added up, not subtracted, so that an outlier left out costs no digits."""
    others = [torch.cat([by_fold[:f], by_fold[f + 1 :]]).sum(0) for f in range(len(by_fold))]
    return torch.stack([*others, by_fold.sum(0)])


def eigenbasis(sums: ClassSums, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """vectors [D, R], values [R] and the mean of the values left out [] of a layer's correlation matrix."""
    n = sums.sampled.clamp_min(1)
    mean = (sums.sample[layer] / n).to(torch.float32)
    cov = sums.gram[layer] / n.to(torch.float32) - torch.outer(mean, mean)
    spread = cov.diagonal().clamp_min(0).sqrt()
    inverse = torch.where(spread > 0, 1 / spread.where(spread > 0, 1.0), 0.0)
    correlation = cov * torch.outer(inverse, inverse)
    vectors, values = _leading(correlation)
    values = values.clamp_min(0).to(torch.float64)
    rest = correlation.trace().to(torch.float64) - values.sum()
    left = len(correlation) - len(values)
    return vectors.to(torch.float64), values, (rest / max(left, 1)).clamp_min(0)


def _leading(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """All eigenvectors of a small matrix, the leading ones of a large one by two steps of subspace iteration."""
    if len(matrix) <= _RANK:
        values, vectors = torch.linalg.eigh(matrix)
        return vectors, values
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(len(matrix), _RANK, generator=generator, dtype=matrix.dtype).to(matrix.device)
    for _ in range(2):
        probe = torch.linalg.qr(matrix @ probe).Q
    values, small = torch.linalg.eigh(probe.T @ matrix @ probe)
    return probe @ small, values
