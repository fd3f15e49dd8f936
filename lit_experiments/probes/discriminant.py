"""Linear discriminant analysis in closed form: from a layer's moments, or from its rows where they are fewer than dims.

The fit is scikit-learn's StandardScaler and LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s): with class means
m_k, class shares p_k and the pooled covariance within classes W, S = (1 - s) W + s tr(W) / D I, and class k gets
x'S^-1 m_k - m_k'S^-1 m_k / 2 + log p_k. Where S is singular the inverse is the pseudo-inverse, as of least squares of
least norm.
Shapes: N row, D hidden, K class, A shrinkage.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_experiments.probes.row_products import RowProducts
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


def from_rows(products: RowProducts, marks: Tensor, shrinkages: Tensor) -> tuple[Tensor, Tensor]:
    """The same of n < D training rows Z (times the roots of their weights), in which everything lies: m = Z'c, W =
    (PZ)'PZ / n, P takes out the class means.

    marks: [n, K], 1 for a training row's class. With R = PZ / sqrt(n) and t = s tr(W) / D,
    S^-1 = (1 - R'(a + RR')^-1 R) / t.
    """
    root = products.root[products.root > 0]
    n, hidden, rows = products.n, products.x.shape[1], products.weighted()
    size = (root**2) @ marks
    inverse = torch.where(size > 0, 1 / size.where(size > 0, 1.0), 0.0)
    within = root[:, None] * marks * inverse.sqrt()  # orthonormal columns

    def centred(columns: Tensor) -> Tensor:
        return columns - within @ (within.T @ columns)

    of_means = root[:, None] * marks * inverse
    projected = centred(rows @ of_means) / n.sqrt()
    gram = centred(centred(rows).T).div_(n)
    del rows
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
    coef = products.combined(solved.flatten(0, 1)).unflatten(0, solved.shape[:2])
    return _with_intercepts(coef, products.combined(of_means.T).T, size / n)


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
