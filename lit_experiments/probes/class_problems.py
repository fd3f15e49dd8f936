"""The logistic problems: what each one minimises, in which coordinates, and its value and gradient block by block.

Problem p has a layer, a held-out fold (or none), a penalty and a target, and minimises over W [D, K] and b [K]

    mean over its n training rows of -log softmax(z W + b)[label]  +  penalty / 2 * sum of squares of W

with z the inputs standardised on those n rows, b not penalised: scikit-learn's StandardScaler, then
LogisticRegression(C = 1 / (penalty * n)). Two classes have one column, the log-odds of the second, as there.

The optimiser moves in u with W = P u, where P is the inverse square root of this objective's Hessian at W = 0 and b =
log of the class shares: with C = V diag(w) V' the inputs' correlation and M = diag(shares) - shares shares' = Q diag(m)
Q', that is scaling entry ij by 1 / sqrt(w_i m_j + penalty) in the bases V and Q. A change of coordinates moves no
optimum and leaves the penalty on W itself; it makes the first step Newton's. Shapes: L layer, D hidden, K class, J
column (K, or 1 of two classes), P problem, A problems evaluated, T target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lit_experiments.probes.class_rows import Rows
from lit_experiments.probes.class_sums import Standard

_NEVER = -1e4  # intercept of a class without training rows: its probability is exactly 0 in float32 and float64
_CELLS = 1 << 22  # logits held at a time


@dataclass(frozen=True)
class Problems:
    """[P] each: layer, fold (held out; -1 none), target as int64, penalty as float64."""

    layer: Tensor
    fold: Tensor
    target: Tensor
    penalty: Tensor

    def __len__(self) -> int:
        return len(self.layer)

    def pick(self, index: Tensor) -> Problems:
        """Some of them."""
        return Problems(self.layer[index], self.fold[index], self.target[index], self.penalty[index])

    def by_layer(self) -> Iterator[tuple[int, Tensor]]:
        """Each layer that occurs, with the positions of its problems."""
        for layer in torch.unique(self.layer).tolist():
            yield layer, torch.nonzero(self.layer == layer)[:, 0]

    @classmethod
    def grid(cls, layers: int, folds: Tensor, targets: int, penalties: Tensor) -> Problems:
        """Every combination, layers slowest, then folds, penalties, targets."""
        counts = [torch.arange(count, device=folds.device) for count in (layers, len(penalties), targets)]
        layer, fold, penalty, target = torch.cartesian_prod(counts[0], folds, *counts[1:]).T
        return cls(layer, fold, target, penalties[penalty])


@dataclass(frozen=True)
class Weights:
    """A problems' fits: w [A, D, J] for standardised inputs; v [A, D, J], b [A, J] for inputs less their origin."""

    w: Tensor
    v: Tensor
    b: Tensor


@dataclass(frozen=True)
class Totals:
    """Sums over rows for A problems: loss of training rows [A], loss, right and number of held-out rows [A, 3],
    gradients by v [A, D, J] and b [A, J]. float64."""

    loss: Tensor
    held: Tensor
    v: Tensor
    b: Tensor

    @classmethod
    def zeros(cls, problems: int, hidden: int, columns: int, device: torch.device) -> Totals:
        kind: dict[str, Any] = {"dtype": torch.float64, "device": device}
        shapes = ((problems,), (problems, 3), (problems, hidden, columns), (problems, columns))
        return cls(*(torch.zeros(shape, **kind) for shape in shapes))

    def tensors(self) -> list[Tensor]:
        """What to add up over ranks."""
        return [self.loss, self.held, self.v, self.b]


class Coordinates:
    """Between the optimiser's vectors u [A, D * J + J] and weights.

    standard: of all fits. origin: [L, D] what the blocks' inputs are less. basis: per layer vectors, values, rest.
    """

    def __init__(self, standard: Standard, origin: Tensor, basis: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        self.standard, self.origin, self.basis = standard, origin, basis
        self.hidden, self.classes = origin.shape[1], standard.prior.shape[-1]
        self.columns = 1 if self.classes == 2 else self.classes

    @property
    def size(self) -> int:
        """Numbers per problem."""
        return (self.hidden + 1) * self.columns

    def weights(self, problems: Problems, u: Tensor) -> Weights:
        """Of u [A, size]."""
        slopes, offsets = self._split(u)
        shares, q, m = self._class_basis(problems)
        inverse, shift = self._affine(problems)
        # The eigenvectors leave rounding in dims that do not vary; their weight is 0.
        w = (self._scaled(problems, slopes, m) @ q.transpose(1, 2)) * (inverse > 0)[..., None]
        b = self._start(shares) + ((offsets * _rsqrt(m))[:, None, :] @ q.transpose(1, 2))[:, 0]
        v = w * inverse[..., None]
        return Weights(w, v, b - (shift[:, None, :] @ v)[:, 0])

    def objective(self, problems: Problems, weights: Weights, totals: Totals) -> tuple[Tensor, Tensor, Tensor]:
        """Values [A], gradients by u [A, size], and the largest entry [A] of the gradients by W and b."""
        n = self._rows(problems)[:, None]
        _, q, m = self._class_basis(problems)
        inverse, shift = self._affine(problems)
        gb = totals.b / n
        by_z = inverse[..., None] * (totals.v / n[..., None] - shift[..., None] * gb[:, None, :])
        gw = by_z + problems.penalty[:, None, None] * weights.w
        value = totals.loss / n[:, 0] + problems.penalty / 2 * weights.w.square().sum((1, 2))
        slopes = self._scaled(problems, gw @ q, m)
        offsets = (gb[:, None, :] @ q)[:, 0] * _rsqrt(m)
        largest = torch.maximum(gw.abs().amax((1, 2)), gb.abs().amax(1))
        return value, torch.cat([slopes.flatten(1), offsets], 1), largest

    def centred(self, problems: Problems, weights: Weights) -> Tensor:
        """[A, J] the intercepts for standardised inputs."""
        _, shift = self._affine(problems)
        return weights.b + (shift[:, None, :] @ weights.v)[:, 0]

    def start(self, problems: Problems, weights: Weights) -> Tensor:
        """[A, size] u of given weights: their w and, about the origin, b."""
        _, q, m = self._class_basis(problems)
        shares = self._shares(problems)
        b = self.centred(problems, weights) - self._start(shares)
        b = torch.where(self._absent(shares), 0.0, b)
        offsets = (b[:, None, :] @ q)[:, 0] * torch.where(_rsqrt(m) > 0, m.clamp_min(0).sqrt(), 0.0)
        slopes = self._scaled(problems, weights.w @ q, m, inverse=True)
        return torch.cat([slopes.flatten(1), offsets], 1)

    def _split(self, u: Tensor) -> tuple[Tensor, Tensor]:
        edge = self.hidden * self.columns
        return u[:, :edge].reshape(len(u), self.hidden, self.columns), u[:, edge:]

    def _rows(self, problems: Problems) -> Tensor:
        return self.standard.total[problems.fold, problems.target]  # -1 is the last entry: nothing held out

    def _shares(self, problems: Problems) -> Tensor:
        return self.standard.prior[problems.fold, problems.target]

    def _affine(self, problems: Problems) -> tuple[Tensor, Tensor]:
        """inverse and shift [A, D]: z = (x - origin - shift) * inverse."""
        mean = self.standard.mean[problems.fold, problems.layer]
        return self.standard.inverse[problems.fold, problems.layer], mean - self.origin[problems.layer]

    def _class_basis(self, problems: Problems) -> tuple[Tensor, Tensor, Tensor]:
        """shares [A, K], eigenvectors q [A, J, J] and eigenvalues m [A, J] of M."""
        shares = self._shares(problems)
        if self.columns == 1:
            m = (shares[:, :1] * shares[:, 1:]).clone()
            return shares, torch.ones_like(m)[:, None, :], m
        m, q = torch.linalg.eigh(torch.diag_embed(shares) - shares[:, :, None] * shares[:, None, :])
        return shares, q, m

    def _start(self, shares: Tensor) -> Tensor:
        """[A, J] intercepts of the fit without inputs."""
        logs = torch.where(shares > 0, shares.clamp_min(1e-300).log(), _NEVER)
        return logs[:, 1:] - logs[:, :1] if self.columns == 1 else logs

    def _absent(self, shares: Tensor) -> Tensor:
        return (shares == 0).any(1, keepdim=True) if self.columns == 1 else shares == 0

    def _scaled(self, problems: Problems, a: Tensor, m: Tensor, inverse: bool = False) -> Tensor:
        """P in the class basis, applied to a [A, D, J]; or its inverse."""
        out = torch.empty_like(a)
        power = 0.5 if inverse else -0.5
        for layer, at in problems.by_layer():
            vectors, values, rest = self.basis[layer]
            vectors = vectors.to(torch.float64)
            spread, penalty = m[at].clamp_min(0)[:, None, :], problems.penalty[at, None, None]
            inside = (values[:, None] * spread + penalty) ** power
            outside = (rest * spread + penalty) ** power if vectors.shape[1] < self.hidden else 0 * penalty
            rows = a[at].transpose(0, 1)
            seen = (vectors.T @ rows.flatten(1)).view(-1, *rows.shape[1:]).transpose(0, 1)
            back = (vectors @ ((inside - outside) * seen).transpose(0, 1).flatten(1)).view_as(rows)
            out[at] = back.transpose(0, 1) + outside * a[at]
        return out


def add_block(totals: Totals, problems: Problems, weights: Weights, block: Rows) -> None:
    """Add a block's rows to the totals."""
    classes = weights.b.shape[1] if weights.b.shape[1] > 1 else 2
    for layer, at in problems.by_layer():
        some, rows = problems.pick(at), block.x[layer]
        weight = None if bool((block.loss_weight == 1).all()) else block.loss_weight
        v = weights.v[at].transpose(0, 1).flatten(1).to(rows.dtype)
        b = weights.b[at].to(rows.dtype)
        chunk = max(64, _CELLS // (len(at) * classes))
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            labels, held = block.y[part][:, some.target], block.fold[part, None] == some.fold
            w = None if weight is None else weight[part][:, some.target]
            _add_rows(totals, at, rows[part], (v, b), labels, held, w)


def _add_rows(
    totals: Totals, at: Tensor, x: Tensor, vb: tuple[Tensor, Tensor], y: Tensor, held: Tensor, weight: Tensor | None
) -> None:
    """x [row, D]; vb: v [D, A * J] and b [A, J]; y, held, weight (None: all 1): [row, A]."""
    v, b = vb
    problems, columns = b.shape
    z = torch.addmm(b.flatten(), x, v).view(len(x), problems, columns)
    if columns == 1:
        z = torch.cat([torch.zeros_like(z), z], 2)
    right = z.argmax(2) == y
    loss, residual = _loss_and_residual(z, y)
    known = held & (loss < -_NEVER / 2)
    counts = torch.stack([torch.where(known, loss, 0.0), (right & known).to(loss.dtype), known.to(loss.dtype)], -1)
    if weight is not None:
        loss, counts = loss * weight, counts * weight[..., None]
        residual = residual * weight[..., None].to(residual.dtype)
    totals.loss[at] += torch.where(held, 0.0, loss).sum(0)
    totals.held[at] += counts.sum(0)
    residual.masked_fill_(held[..., None], 0.0)
    residual = residual[..., -columns:].reshape(len(x), problems * columns)
    totals.b[at] += residual.sum(0, dtype=torch.float64).view(problems, columns)
    gradient = (x.T @ residual).view(-1, problems, columns).transpose(0, 1)
    totals.v[at] += gradient.to(torch.float64)


def _loss_and_residual(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax(z)[y] [row, A] float64 and softmax(z) - onehot(y) [row, A, K], from logits z, which are overwritten.

    Both from what the other classes have, because 1 less a probability near 1 is rounding in float32.
    """
    label = y[..., None]
    z.sub_(z.gather(2, label))
    top = z.amax(2, keepdim=True)
    others = z.sub_(top).exp_().scatter_(2, label, 0.0)
    rest, label_term = others.sum(2, keepdim=True), torch.exp(-top)
    loss = top + torch.where(top > 0, (rest + label_term).log(), rest.log1p())
    residual = others.div_(rest + label_term).scatter_(2, label, -rest / (rest + label_term))
    return loss[..., 0].to(torch.float64), residual


def _rsqrt(m: Tensor) -> Tensor:
    """1 / sqrt(m), 0 where m is 0 but for rounding: adding a constant to all classes changes nothing."""
    real = m > 1e-12
    return torch.where(real, m.where(real, 1.0).rsqrt(), 0.0)
