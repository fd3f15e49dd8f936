"""Products of a layer's rows, standardised on those trained on: all that a fit with fewer rows than dims needs.

Dims are taken in strips, so that next to the rows themselves nothing of their size is held, and of the products, which
are symmetric, half is computed. Shapes: N row, D hidden, C column; n training row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.probes.moments import add_gram
from lit_experiments.probes.solve import scale_of

_STRIP = 512
"""Dims that are widened to float64 at a time: 14 MB of 3,500 rows."""


@dataclass(frozen=True, eq=False)
class RowProducts:
    """x [N, D] rows as they are. n []; mean, scale, inverse [D] of the training rows, inverse 0 for dims that do not
    vary; gram [N, N] products of all rows, standardised; root [N] square roots of the weights of training rows, 0 for
    the others. All but x float64."""

    x: Tensor
    n: Tensor
    mean: Tensor
    scale: Tensor
    inverse: Tensor
    gram: Tensor
    root: Tensor

    @classmethod
    def of(cls, x: Tensor, weight: Tensor) -> RowProducts:
        """x: [N, D] of any floats; weight: [N], 0 for rows that are not trained on."""
        n, count = weight.sum(), len(x)
        gram = torch.zeros(count, count, dtype=torch.float64, device=x.device)
        parts = []
        for dims in _strips(x.shape[1]):
            rows = x[:, dims].to(torch.float64)
            mean = (weight @ rows) / n
            z = rows - mean
            scale, inverse = scale_of((weight @ z**2) / n, mean, n)
            parts.append((mean, scale, inverse))
            add_gram(gram, z.mul_(inverse).T)
        gram.triu_()
        gram += gram.triu(1).T
        mean, scale, inverse = (torch.cat(values) for values in zip(*parts, strict=True))
        return cls(x, n, mean, scale, inverse, gram, weight.sqrt())

    def training(self) -> Tensor:
        """[n] places of the training rows."""
        return torch.nonzero(self.root)[:, 0]

    def weighted(self) -> Tensor:
        """[n, n] products of the training rows times the square roots of their weights."""
        train, root = self.training(), self.root[self.root > 0]
        return self.gram[train][:, train].mul_(root[:, None]).mul_(root)

    def combined(self, columns: Tensor) -> Tensor:
        """[C, D] sums of the standardised training rows, times the square roots of their weights, by columns [C, n]."""
        train = self.training()
        columns = columns * self.root[train]
        out = columns.new_empty(len(columns), self.x.shape[1])
        for dims in _strips(self.x.shape[1]):
            z = (self.x[train, dims].to(torch.float64) - self.mean[dims]) * self.inverse[dims]
            out[:, dims] = columns @ z
        return out


def _strips(hidden: int) -> Iterator[slice]:
    yield from (slice(start, start + _STRIP) for start in range(0, hidden, _STRIP))
