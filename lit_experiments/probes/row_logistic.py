"""Logistic fits of far fewer rows than dims: from the rows' products, once they are read.

The weights of such a fit are combinations of its n training rows, W = Z' a, so that the products G = Z Z' are all that
its objective needs (Kimeldorf and Wahba 1971). With the eigenvectors U and values S of G, W = Z' U S^-1/2 C, the logits
of the training rows are U S^1/2 C, and the squares of W are those of C: the problem of `class_problems` with n dims in
place of D, in the eigenbasis that its optimiser asks for. Every held-out fold has products of its own, as it
standardises on its own training rows. Shapes: N row, D hidden, T target, K class, J column, F fold held out, A penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_parts import ClassLabels
from lit_experiments.probes.class_problems import Coordinates, Problems, Totals, add_block
from lit_experiments.probes.class_rows import Rows
from lit_experiments.probes.class_search import Settings
from lit_experiments.probes.class_sums import Standard
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.lbfgs import BatchedLBFGS
from lit_experiments.probes.row_products import RowProducts

_EPS = torch.finfo(torch.float64).eps
_NOTES = 4  # of an accepted point: largest gradient entry; held-out loss, right, rows


@dataclass(frozen=True)
class RowLabels:
    """The training rows with a label. used [N]: their places among all training rows. y [N, T] class codes; fold [N];
    weight [N] how many times a row counts, loss_weight [N, T] that in the loss; classes: how many there are."""

    used: Tensor
    y: Tensor
    fold: Tensor
    weight: Tensor
    loss_weight: Tensor
    classes: int

    @classmethod
    def of(cls, data: BlockDataModule, labels: ClassLabels, device: torch.device) -> RowLabels:
        """Of the data's only target and its shuffles."""
        train = np.flatnonzero(data.fold != TEST)
        weight = data.row_weights(train)
        used = np.flatnonzero((labels.codes[train] >= 0).all(1) & (weight > 0))
        rows, weight = train[used], weight[used]
        loss_weight = weight[:, None] * labels.weight[rows]

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(values).to(device)

        return cls(
            used=tensor(used),
            y=tensor(labels.codes[rows]),
            fold=tensor(data.fold[rows]),
            weight=tensor(weight),
            loss_weight=tensor(loss_weight),
            classes=len(labels.classes[0]),
        )

    def totals(self, held: tuple[int, ...]) -> Tensor:
        """[F + 1, T, K] weight in the loss of every class's rows, without each held-out fold and, last, of all."""
        marks = torch.nn.functional.one_hot(self.y, self.classes) * self.loss_weight[..., None]
        return torch.stack([marks[self.fold != out].sum(0) for out in (*held, -1)])


@dataclass(frozen=True)
class RowFit:
    """One layer's fits, each target at its chosen penalty: mean, scale [D] of the training rows; coef [T, J, D] for
    standardised inputs, intercept [T, J]; penalty_index [T]; held [F, A, T, 3] loss, right answers and rows of the
    held-out folds; fits [F, A, T, 4] and ends [T, 4]: how the fits ended (see `Fits.of`)."""

    mean: Tensor
    scale: Tensor
    coef: Tensor
    intercept: Tensor
    penalty_index: Tensor
    held: Tensor
    fits: Tensor
    ends: Tensor


def fit_rows(x: Tensor, labels: RowLabels, settings: Settings) -> RowFit:
    """One layer's fits. x: [N, D] of any floats, the rows that have a label."""
    held, targets = settings.held, labels.y.shape[1]
    penalties = torch.tensor(settings.penalties, dtype=torch.float64, device=x.device)
    folds = [_Fold.of(x, labels, out) for out in (*held, -1)]
    rank = max(1, *(fold.rank for fold in folds))  # of inputs that do not vary 0, which is no shape for the optimiser
    coordinates, rows = _coordinates(folds, labels, held, rank), _rows(folds, labels, rank)
    number = torch.arange(len(held), device=x.device)
    place, penalty, target = torch.cartesian_prod(
        number, torch.arange(len(penalties), device=x.device), torch.arange(targets, device=x.device)
    ).T
    shape = (len(held), len(penalties), targets)
    choosing = _minimised(coordinates, Problems(place, place, target, penalties[penalty]), rows, settings)
    scores = choosing.notes[:, 1:].view(*shape, 3)
    index = torch.zeros(targets, dtype=torch.int64, device=x.device)
    if held:
        index = (scores[..., 0] / scores[..., 2]).nanmean(0).argmin(0)
    last = torch.full_like(index, len(held))
    problems = Problems(last, torch.full_like(index, -1), torch.arange(targets, device=x.device), penalties[index])
    final = _minimised(coordinates, problems, rows, settings)
    weights = coordinates.weights(problems, final.points)
    whole = folds[-1]
    dual = torch.einsum("nr,trj->tjn", whole.basis, weights.w[:, : whole.rank])
    coef = whole.products.combined((dual / whole.products.root).flatten(0, 1)).view(*dual.shape[:2], -1)
    ends = _ends(choosing).view(*shape, 4), _ends(final)
    return RowFit(whole.products.mean, whole.products.scale, coef, weights.b, index, scores, *ends)


@dataclass(frozen=True, eq=False)
class _Fold:
    """products: of all rows, standardised without a fold. basis [n, R]: U S^-1/2 of its n training rows. features
    [N, R] of all rows; values [R]: S / n."""

    products: RowProducts
    basis: Tensor
    features: Tensor
    values: Tensor

    @property
    def rank(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, x: Tensor, labels: RowLabels, out: int) -> _Fold:
        products = RowProducts.of(x, torch.where(labels.fold == out, 0.0, labels.weight))
        train = products.training()
        values, vectors = torch.linalg.eigh(products.gram[train][:, train])
        real = values > len(train) * _EPS * values.max()
        basis = vectors[:, real] / values[real].sqrt()
        return cls(products, basis, products.gram[:, train] @ basis, values[real] / len(train))


def _coordinates(folds: list[_Fold], labels: RowLabels, held: tuple[int, ...], rank: int) -> Coordinates:
    """Of problems whose layers are the folds: inputs are standardised, and lie along the axes of their covariance."""
    kind: dict[str, Any] = {"dtype": torch.float64, "device": labels.weight.device}
    counts = labels.totals(held)
    total = counts.sum(-1)
    shape = (len(folds), len(folds), rank)
    zero, one = torch.zeros(1, **kind).expand(shape), torch.ones(1, **kind).expand(shape)
    prior = counts / total.clamp_min(torch.finfo(torch.float64).tiny)[..., None]
    axes, rest = torch.eye(rank, **kind), torch.zeros((), **kind)
    basis = [(axes, _padded(fold.values, rank), rest) for fold in folds]
    return Coordinates(Standard(total[:, 0], zero, one, prior, total), zero[0], basis)


def _rows(folds: list[_Fold], labels: RowLabels, rank: int) -> Rows:
    x = [_padded(fold.features, rank) for fold in folds]
    nowhere = torch.full_like(labels.fold, -1)
    return Rows(x, labels.y, labels.fold, nowhere, labels.weight, labels.loss_weight)


def _padded(values: Tensor, rank: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, rank - values.shape[-1]))


def _minimised(coordinates: Coordinates, problems: Problems, rows: Rows, settings: Settings) -> BatchedLBFGS:
    start = coordinates.origin.new_zeros(len(problems), coordinates.size)
    optimiser = BatchedLBFGS(start, settings.history, settings.tolerance, settings.max_iterations, _NOTES)
    while not optimiser.finished:
        ids, u = optimiser.ask()
        some = problems.pick(ids)
        weights = coordinates.weights(some, u)
        totals = Totals.zeros(len(ids), coordinates.hidden, coordinates.columns, u.device)
        add_block(totals, some, weights, rows)
        value, gradient, largest = coordinates.objective(some, weights, totals)
        optimiser.tell(value, gradient, torch.cat([largest[:, None], totals.held], 1))
    return optimiser


def _ends(done: BatchedLBFGS) -> Tensor:
    """[P, 4]: see `Fits.of`."""
    iterations, status = (count.to(torch.float64) for count in (done.iterations, done.status))
    return torch.stack([done.values, done.notes[:, 0], iterations, status], 1)
