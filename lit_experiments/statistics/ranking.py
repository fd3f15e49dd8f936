"""How well scores rank outcomes, on many resamples at once: AUROC, average precision, recall at a false-positive rate.

Rows are sorted once; a resample is a vector of row weights (how often each row was drawn), so that a score of all
resamples costs a few cumulative sums. Undefined scores (one outcome only) are NaN. Shapes: n rows, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.statistics.calibration import aurocs

Floats = NDArray[np.float64]
_CELLS = 1 << 24
"""Numbers of cumulative sums that are held at a time."""


LEAST_FALSE_POSITIVES = 5
"""A threshold that fewer rows set is one of the highest scores there are, which no resample tells the spread of."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows sorted by falling score.

    order [n]: rows, best first. last [level]: the last place of every run of equal scores. score, outcome [n]: outcome
    1 or 0, in the rows' own order.
    """

    order: NDArray[np.int64]
    last: NDArray[np.int64]
    score: Floats
    outcome: Floats

    @classmethod
    def of(cls, score: ArrayLike, outcome: ArrayLike) -> Ranking:
        """score, outcome: [n]."""
        s, y = np.asarray(score, np.float64), np.asarray(outcome, np.float64)
        if s.shape != y.shape or s.ndim != 1:
            raise ValueError(f"expected two vectors of one length, found shapes {s.shape} and {y.shape}")
        order = np.argsort(-s, kind="stable")
        ordered = s[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(s) else np.zeros(0, np.int64)
        return cls(order, last, s, y)

    def auroc(self, weights: ArrayLike | None = None) -> Floats:
        """[B] probability that a row of outcome 1 scores above one of outcome 0, ties counting half (Mann-Whitney)."""
        return self._in_parts(weights, lambda part: aurocs(self.score, self.outcome, part))

    def average_precision(self, weights: ArrayLike | None = None) -> Floats:
        """[B] sum of precision times step in recall (as scikit-learn's average_precision_score)."""
        return self._scored(weights, _average_precision)

    def recall_at(self, false_positive_rate: float, weights: ArrayLike | None = None) -> Floats:
        """[B] the largest recall of a threshold whose false-positive rate is at most this."""
        return self._scored(weights, lambda right, wrong: _recall_at(right, wrong, false_positive_rate))

    def sets_threshold(self, false_positive_rate: float) -> bool:
        """Whether there are enough rows of outcome 0 for an interval of the recall at this false-positive rate."""
        return false_positive_rate * float((self.outcome == 0).sum()) >= LEAST_FALSE_POSITIVES

    def _scored(self, weights: ArrayLike | None, statistic: Callable[[Floats, Floats], Floats]) -> Floats:
        """statistic([B, level] cumulative weight of outcome 1, the same of outcome 0) for weights [B, n]."""
        return self._in_parts(weights, lambda part: self._part(part, statistic))

    def _in_parts(self, weights: ArrayLike | None, compute: Callable[[Floats], Floats]) -> Floats:
        """[B] of weights [B, n], as many resamples at a time as memory should hold."""
        rows = np.ones((1, len(self.outcome))) if weights is None else np.asarray(weights, np.float64)
        size = max(1, _CELLS // max(1, len(self.outcome)))
        parts = [compute(rows[start : start + size]) for start in range(0, len(rows), size)]
        return np.concatenate(parts)

    def _part(self, weights: Floats, statistic: Callable[[Floats, Floats], Floats]) -> Floats:
        ordered, outcome = weights[:, self.order], self.outcome[self.order]
        right = np.cumsum(ordered * outcome, axis=1)[:, self.last]
        wrong = np.cumsum(ordered * (1 - outcome), axis=1)[:, self.last]
        out = np.full(len(weights), np.nan)
        known = (right[:, -1] > 0) & (wrong[:, -1] > 0) if right.shape[1] else np.zeros(len(weights), bool)
        if known.any():
            out[known] = statistic(right[known], wrong[known])
        return out


def _average_precision(right: Floats, wrong: Floats) -> Floats:
    above = right + wrong
    precision = np.divide(right, above, out=np.zeros_like(right), where=above > 0)
    return (np.diff(right, prepend=0.0, axis=1) * precision).sum(1) / right[:, -1]


def _recall_at(right: Floats, wrong: Floats, rate: float) -> Floats:
    allowed = wrong <= rate * wrong[:, -1:] * (1 + 1e-12)
    return np.where(allowed, right, 0.0).max(1) / right[:, -1]
