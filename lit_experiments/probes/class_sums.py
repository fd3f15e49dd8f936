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

from lit_experiments.probes.class_rows import Rows

_EPS = torch.finfo(torch.float64).eps
_TINY = torch.finfo(torch.float64).tiny
_SAMPLE_PER_DIM = 8
"""Rows per hidden dim whose covariance is taken: it only shapes the optimiser's coordinates, never the optimum."""
_RANK = 1024
"""Eigenvectors kept per layer; the directions beyond share one eigenvalue, their mean."""
_LEAST = 256
"""Rows of a sample, and eigenvectors, that are held whatever memory there is."""


@dataclass
class ClassSums:
    """Sums over training rows with a label, about `origin` [L, D].

    count [F] weight; x, squares [F, L, D] weighted, float64; classes [F, T, K] labels, as the loss weighs them; sampled
    [1] rows of the sample; sample [L, D] their sum; gram [L, D, D] float32 their products, or [L, 0, 0] where the rows
    themselves are held: taken [L, S, D] float32, [L, 0, D] otherwise.
    """

    origin: Tensor
    count: Tensor
    x: Tensor
    squares: Tensor
    classes: Tensor
    sampled: Tensor
    sample: Tensor
    gram: Tensor
    taken: Tensor

    @classmethod
    def zeros(cls, folds: int, origin: Tensor, targets: int, classes: int, sample: Sample) -> ClassSums:
        """Empty sums about origin [L, D] float64."""
        layers, hidden = origin.shape
        squares = 0 if sample.as_rows else hidden
        count, sums = origin.new_zeros(folds), origin.new_zeros(folds, layers, hidden)
        gram = torch.zeros(layers, squares, squares, dtype=torch.float32, device=origin.device)
        held = int(sample.place.max()) + 1 if sample.as_rows and len(sample.place) else 0
        taken = torch.zeros(layers, held, hidden, dtype=torch.float32, device=origin.device)
        labels = origin.new_zeros(folds, targets, classes)
        sampled, sample_sum = origin.new_zeros(1), torch.zeros_like(origin)
        return cls(origin, count, sums, sums.clone(), labels, sampled, sample_sum, gram, taken)

    def add(self, rows: Rows) -> None:
        """Add labelled training rows."""
        inside = torch.nn.functional.one_hot(rows.fold, len(self.count)).to(self.count.dtype)
        member = inside * rows.weight[:, None]
        self.count += member.sum(0)
        labels = torch.nn.functional.one_hot(rows.y, self.classes.shape[-1]).to(self.count.dtype)
        self.classes += torch.einsum("rf,rtk->ftk", inside, labels * rows.loss_weight[..., None])
        sampled = rows.sample >= 0
        self.sampled += sampled.sum()
        for layer, inputs in enumerate(rows.x):
            z = inputs.to(torch.float64, copy=True)
            self.x[:, layer] += member.T @ z
            part = inputs[sampled].to(torch.float32)
            self.sample[layer] += part.sum(0, dtype=torch.float64)
            if self.gram.shape[1]:
                self.gram[layer].addmm_(part.T, part)
            else:
                self.taken[layer, rows.sample[sampled]] = part
            self.squares[:, layer] += member.T @ z.square_()

    def tensors(self) -> list[Tensor]:
        """The tensors to add up over ranks."""
        return [getattr(self, f.name) for f in fields(self) if f.name != "origin"]


@dataclass(frozen=True)
class Sample:
    """The rows that the covariance is taken from. place: [row of the data] among them, -1 for the others. as_rows:
    whether they are held themselves: they are fewer than dims, or products of all layers' dims would not fit. rank: how
    many eigenvectors of a layer may be kept."""

    place: NDArray[np.int64]
    as_rows: bool
    rank: int

    @classmethod
    def of(cls, train: NDArray[np.bool_], layers: int, hidden: int, memory_bytes: int) -> Sample:
        """train: [row] whether it is trained on. memory_bytes: what products, or rows, of all layers may take."""
        total, row_bytes = int(train.sum()), 4 * layers * hidden
        as_rows = total < hidden or row_bytes * hidden > memory_bytes
        fitting = max(_LEAST, memory_bytes // row_bytes)
        size = _SAMPLE_PER_DIM * hidden if not as_rows else min(fitting, 2 * _RANK)
        numbers = np.flatnonzero(train)
        numbers = numbers[_in_sample(numbers, total, size)]
        place = np.full(len(train), -1)
        place[numbers] = np.arange(len(numbers))
        return cls(place, as_rows, min(_RANK, fitting))


def layer_bytes(rows: int, hidden: int) -> int:
    """What a layer's sample (as rows, or as products of few dims) and its eigenvectors take at most."""
    return 4 * hidden * min(rows, hidden, 2 * _RANK) + basis_bytes(rows, hidden)


def basis_bytes(rows: int, hidden: int) -> int:
    """What a layer's eigenvectors take at most."""
    return 4 * hidden * min(rows, hidden, _RANK)


def _in_sample(rows: NDArray[np.int64], total: int, size: int) -> NDArray[np.bool_]:
    """By a hash of the row number, whatever block the row comes in."""
    share = min(1.0, size / max(total, 1))
    return (rows.astype(np.uint64) * np.uint64(2654435761)) % np.uint64(2**32) < np.uint64(int(share * 2**32))


@dataclass(frozen=True)
class Standard:
    """Standardisation per layer and held-out fold (index F: none held out).

    n [F + 1] weight; total [F + 1, T] weight in the loss; mean, inverse [F + 1, L, D]: z = (x - mean) * inverse,
    inverse 0 for features that do not vary; prior [F + 1, T, K] class shares, as the loss weighs them.
    """

    n: Tensor
    mean: Tensor
    inverse: Tensor
    prior: Tensor
    total: Tensor

    @property
    def scale(self) -> Tensor:
        """[L, D] of the whole training part, 1 for features that do not vary, as StandardScaler has it."""
        return torch.where(self.inverse[-1] > 0, 1 / self.inverse[-1].where(self.inverse[-1] > 0, 1.0), 1.0)

    @classmethod
    def of(cls, sums: ClassSums) -> Standard:
        """From the sums of all folds but one, and of all."""
        n, x, squares, labels = (_without_each(t) for t in (sums.count, sums.x, sums.squares, sums.classes))
        size = n.clamp_min(_TINY)[:, None, None]
        about = x / size
        mean = sums.origin + about
        spread = (squares - size * about**2).clamp_min(0)
        constant = spread <= size * _EPS * spread + (size * mean * _EPS) ** 2  # as StandardScaler decides it
        inverse = torch.where(constant, 0.0, (spread / size).where(~constant, 1.0).rsqrt())
        total = labels.sum(-1)
        return cls(n, mean, inverse, labels / total.clamp_min(_TINY)[..., None], total)


def _without_each(by_fold: Tensor) -> Tensor:
    """Sums of all folds but one, and of all; added up, not subtracted, so that an outlier left out costs no digits."""
    others = [torch.cat([by_fold[:f], by_fold[f + 1 :]]).sum(0) for f in range(len(by_fold))]
    return torch.stack([*others, by_fold.sum(0)])


def eigenbasis(sums: ClassSums, layer: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """vectors [D, R] float32, values [R] and the mean of the values left out [] of a layer's correlation matrix."""
    n = sums.sampled.clamp_min(1)
    mean = (sums.sample[layer] / n).to(torch.float32)
    if not sums.gram.shape[1]:
        taken = sums.taken[layer]
        return _of_rows(taken[taken.any(1)] - mean, rank)  # places of rows without a label are empty
    cov = sums.gram[layer] / n.to(torch.float32) - torch.outer(mean, mean)
    spread = cov.diagonal().clamp_min(0).sqrt()
    inverse = torch.where(spread > 0, 1 / spread.where(spread > 0, 1.0), 0.0)
    correlation = cov * torch.outer(inverse, inverse)
    vectors, values = _leading(correlation, rank)
    return _with_rest(vectors, values.clamp_min(0).to(torch.float64), correlation.trace().to(torch.float64))


def _of_rows(rows: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same from rows [S, D] minus their mean, by the eigenvectors of their products [S, S]."""
    spread = rows.square().mean(0).sqrt()
    z = rows * torch.where(spread > 0, 1 / spread.where(spread > 0, 1.0), 0.0) / max(1, len(rows)) ** 0.5
    values, vectors = torch.linalg.eigh((z @ z.T).to(torch.float64))
    real = torch.nonzero(values > 1e-6 * values.max())[-rank:, 0]
    values = values[real]
    directions = z.T @ (vectors[:, real] / values.sqrt()).to(torch.float32)
    return _with_rest(torch.linalg.qr(directions).Q, values, z.square().sum().to(torch.float64))


def _with_rest(vectors: Tensor, values: Tensor, trace: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    left = len(vectors) - len(values)
    return vectors, values, ((trace - values.sum()) / max(left, 1)).clamp_min(0)


def _leading(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """All eigenvectors of a small matrix, the leading ones of a large one by two steps of subspace iteration."""
    if len(matrix) <= rank:
        values, vectors = torch.linalg.eigh(matrix)
        return vectors, values
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(len(matrix), rank, generator=generator, dtype=matrix.dtype).to(matrix.device)
    for _ in range(2):
        probe = torch.linalg.qr(matrix @ probe).Q
    values, small = torch.linalg.eigh(probe.T @ matrix @ probe)
    return probe @ small, values
