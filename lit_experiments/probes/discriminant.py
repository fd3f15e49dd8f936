"""Linear discriminant analysis in closed form: from a layer's moments, or from its rows where they are fewer than dims.

The fit is scikit-learn's StandardScaler and LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s): with class means
m_k, class shares p_k and the pooled covariance within classes W, S = (1 - s) W + s tr(W) / D I, and class k gets
x'S^-1 m_k - m_k'S^-1 m_k / 2 + log p_k. Where S is singular the inverse is the pseudo-inverse, as of least squares of
least norm.
Shapes: N row, D hidden, K class, A shrinkage.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.probes.row_ridge import StandardRows
from lit_experiments.probes.solve import Standardised, penalised

NEVER = -1e4
"""Intercept of a class without training rows: its probability is exactly 0."""
_EPS = torch.finfo(torch.float64).eps


def from_moments(fit: Standardised, columns: slice, shrinkages: Tensor) -> tuple[Tensor, Tensor]:
    """coef [A, K, D] for standardised inputs and intercept [A, K]; columns: of the target's classes in `fit`."""
    share, cross = fit.y_mean[columns], fit.cross[:, columns]
    size = (fit.n * share).clamp_min(_EPS)
    means = cross / size * (share > 0)
    within = (fit.gram - (means * size) @ means.T) / fit.n
    return _with_intercepts(_solved(within, means, shrinkages), means, share)


def from_rows(
    fit: StandardRows, marks: Tensor, shrinkages: Tensor, products: RowProducts | None
) -> tuple[Tensor, Tensor]:
    """The same of rows; marks: [N, K], 1 for the row's class (rows that are not trained on are not looked at);
    products: of fewer rows than dims, else None."""
    train = fit.training()
    if products is not None:
        return few_rows(products, fit.root[train], marks[train], shrinkages)
    weight, z = fit.root[train] ** 2, fit.z[train]
    share = (weight @ marks[train]) / fit.n
    means = z.T @ (weight[:, None] * marks[train]) / (fit.n * share).clamp_min(_EPS) * (share > 0)
    rows = (z - marks[train] @ means.T) * (fit.root[train] / fit.n.sqrt())[:, None]
    return _with_intercepts(_solved(rows.T @ rows, means, shrinkages), means, share)


@dataclass(frozen=True)
class RowProducts:
    """Of the training rows times the square roots of their weights: rows [n, D], gram [n, n] their products."""

    rows: Tensor
    gram: Tensor

    @classmethod
    def of(cls, fit: StandardRows) -> RowProducts:
        """All targets of a fit share them."""
        train = fit.training()
        rows = fit.z[train] * fit.root[train, None]
        return cls(rows, rows @ rows.T)


def few_rows(products: RowProducts, root: Tensor, marks: Tensor, shrinkages: Tensor) -> tuple[Tensor, Tensor]:
    """The same through n < D rows Z, in which everything lies: m = Z'c, W = (PZ)'PZ / n, P takes out the class means.

    root: [n] square roots of the weights; marks: [n, K]. With R = PZ / sqrt(n) and t = s tr(W) / D,
    S^-1 = (1 - R'(a + RR')^-1 R) / t.
    """
    n, hidden = (root**2).sum(), products.rows.shape[1]
    size = (root**2) @ marks
    inverse = torch.where(size > 0, 1 / size.where(size > 0, 1.0), 0.0)
    within = root[:, None] * marks * inverse.sqrt()  # orthonormal columns

    def centred(columns: Tensor) -> Tensor:
        return columns - within @ (within.T @ columns)

    gram = centred(centred(products.gram).T) / n
    of_means = root[:, None] * marks * inverse
    projected = centred(products.gram @ of_means) / n.sqrt()
    level = gram.trace() / hidden
    added, part = shrinkages * level, (1 - shrinkages).clamp_min(_EPS)
    dual = penalised(gram, projected, (added / part).where(shrinkages > 0, level)).transpose(1, 2)
    inner = torch.stack([centred(columns) for columns in dual]) / n.sqrt()
    solved = (of_means - inner).transpose(1, 2) / added.where(shrinkages > 0, 1.0)[:, None, None]
    if bool((shrinkages == 0).any()):
        values, vectors = torch.linalg.eigh(gram)
        real = values > len(gram) * _EPS * values.max()
        twice = torch.where(real, values.where(real, 1.0) ** -2.0, 0.0)
        least = centred(vectors @ (twice[:, None] * (vectors.T @ projected))) / n.sqrt()
        solved = torch.where((shrinkages == 0)[:, None, None], least.T, solved)
    return _with_intercepts(solved @ products.rows, products.rows.T @ of_means, size / n)


def _with_intercepts(coef: Tensor, means: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    present = share > 0
    coef = coef * present[:, None]
    logs = torch.where(present, share.where(present, 1.0).log(), NEVER)
    return coef, logs - (coef * means.T).sum(-1) / 2


def _solved(within: Tensor, means: Tensor, shrinkages: Tensor) -> Tensor:
    """[A, K, D] S^-1 m_k from W [D, D] and m [D, K]."""
    level = within.trace() / len(within)
    part = (1 - shrinkages).clamp_min(_EPS)
    solved = penalised(within, means, shrinkages * level / part) / part[:, None, None]
    return torch.where((shrinkages == 1)[:, None, None], means.T / level, solved)
