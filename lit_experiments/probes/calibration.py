"""Scores turned into probabilities by one scale and one offset per class. Knows no hidden states.

Of two classes: logistic regression on one score, scikit-learn's StandardScaler and LogisticRegression(C=1). Of more:
the same with softmax of a_k * score_k + b_k, penalised in the same way.
Shapes: N row, J score (1 of two classes, else K).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 100
_TOLERANCE = 1e-12
NEVER = -1e4


@dataclass(frozen=True)
class Scale:
    """slope, offset [J]: logits are slope * score + offset (of two classes the first has the logit 0)."""

    slope: Floats
    offset: Floats

    def logits(self, scores: Floats) -> Floats:
        """[N, K] from [N, J]."""
        out = scores * self.slope + self.offset
        return np.concatenate([np.zeros_like(out), out], 1) if out.shape[1] == 1 else out


def fit_scale(scores: Floats, codes: NDArray[np.int64], weight: Floats) -> Scale:
    """scores: [N, J]; codes: [N] classes; weight: [N], not all 0. A class without rows gets no probability."""
    total = weight.sum()
    middle = weight @ scores / total
    spread = np.sqrt(weight @ (scores - middle) ** 2 / total)
    z = np.where(spread > 0, (scores - middle) / np.where(spread > 0, spread, 1.0), 0.0)
    columns = scores.shape[1]
    present = np.bincount(codes[weight > 0], minlength=max(2, columns))[: max(2, columns)] > 0
    if columns == 1:
        if not present.all():
            return Scale(np.zeros(1), np.array([-NEVER if present[1] else NEVER]))
        marks = (codes == 1).astype(np.float64)[:, None]
    else:
        marks = (codes[:, None] == np.arange(columns)).astype(np.float64)
    a, b = _newton(z, marks, weight, present if columns > 1 else present[1:])
    slope = np.where(spread > 0, a / np.where(spread > 0, spread, 1.0), 0.0)
    return Scale(slope, b - slope * middle)


def _newton(z: Floats, marks: Floats, weight: Floats, present: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slopes and offsets of least weighted log-loss plus half the squares of the slopes, by Newton's method."""
    columns = z.shape[1]
    theta = np.concatenate([np.zeros(columns), np.where(present, 0.0, NEVER)])
    free = np.concatenate([present, present])
    value, gradient, hessian = _evaluate(theta, z, marks, weight)
    for _ in range(_STEPS):
        step = np.zeros_like(theta)
        step[free] = np.linalg.lstsq(hessian[np.ix_(free, free)], -gradient[free], rcond=1e-13)[0]
        decrease = float(-gradient @ step)
        if decrease <= _TOLERANCE * max(1.0, abs(value)):
            break
        length = 1.0
        while (tried := _evaluate(theta + length * step, z, marks, weight))[0] > value - 1e-4 * length * decrease:
            length /= 2
            if length < 1e-10:
                return theta[:columns], theta[columns:]
        theta = theta + length * step
        value, gradient, hessian = tried
    return theta[:columns], theta[columns:]


def _evaluate(theta: Floats, z: Floats, marks: Floats, weight: Floats) -> tuple[float, Floats, Floats]:
    columns = z.shape[1]
    logits = z * theta[:columns] + theta[columns:]
    top = np.maximum(logits.max(1, keepdims=True), 0.0) if columns == 1 else logits.max(1, keepdims=True)
    terms = np.exp(logits - top)
    norm = terms.sum(1, keepdims=True) + (np.exp(-top) if columns == 1 else 0.0)
    p = terms / norm
    value = (
        float(weight @ (np.log(norm[:, 0]) + top[:, 0] - (marks * logits).sum(1)))
        + theta[:columns] @ theta[:columns] / 2
    )
    residual = weight[:, None] * (p - marks)
    inputs = np.stack([z, np.ones_like(z)], 2)
    gradient = np.einsum("nj,njr->rj", residual, inputs).reshape(-1)
    gradient[:columns] += theta[:columns]
    curvature = weight[:, None, None] * (p[:, :, None] * np.eye(columns) - p[:, :, None] * p[:, None, :])
    hessian = np.einsum("njk,njr,nks->rjsk", curvature, inputs, inputs, optimize=True).reshape(2 * columns, 2 * columns)
    hessian[np.arange(columns), np.arange(columns)] += 1.0
    return float(value), gradient, hessian
