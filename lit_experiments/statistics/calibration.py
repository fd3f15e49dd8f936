"""Whether confidence is deserved: expected calibration error, Brier score, AUROC, and the reliability table.

Confidences are probabilities in [0, 1], outcomes 0 or 1. A weight of k means the row counted k times, which is how a
bootstrap repeats rows. Undefined scores (no rows, one outcome only) are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Rows by bins of confidence: weight, mean confidence and share of right outcomes of each bin (NaN if empty)."""

    edges: Floats
    weight: Floats
    confidence: Floats
    accuracy: Floats


def reliability(confidence: ArrayLike, outcome: ArrayLike, bins: int, weights: ArrayLike | None = None) -> Reliability:
    """`bins` intervals of equal width, closed on the right (as scikit-learn has them); the first holds 0 too."""
    c, y, w = _rows(confidence, outcome, weights)
    edges = np.linspace(0, 1, bins + 1)
    index = np.searchsorted(edges[1:-1], c)
    weight, stated, right = (np.bincount(index, values, bins).astype(np.float64) for values in (w, w * c, w * y))
    with np.errstate(invalid="ignore"):
        return Reliability(edges, weight, stated / weight, right / weight)


def expected_calibration_error(
    confidence: ArrayLike, outcome: ArrayLike, bins: int, weights: ArrayLike | None = None
) -> float:
    """Weighted mean over bins of |accuracy - mean confidence| (Naeini, Cooper and Hauskrecht 2015)."""
    table = reliability(confidence, outcome, bins, weights)
    used = table.weight > 0
    if not used.any():
        return math.nan
    gaps = np.abs(table.accuracy[used] - table.confidence[used])
    return float(gaps @ table.weight[used] / table.weight.sum())


def brier_score(confidence: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean squared difference of confidence and outcome (Brier 1950)."""
    c, y, w = _rows(confidence, outcome, weights)
    return float(w @ (c - y) ** 2 / w.sum()) if w.sum() else math.nan


def auroc(score: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a right row scores above a wrong one, ties counting half (Mann-Whitney)."""
    return float(aurocs(*_rows(score, outcome, weights)))


def aurocs(
    score: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None = None, stratum: ArrayLike | None = None
) -> Floats:
    """[*batch] `auroc` of many scores, outcomes or weightings at once, each [*batch, row] or [row].

    stratum: [row]; only rows of one stratum are compared with each other (stratified Mann-Whitney). Exact for whole
    weights. NaN where there is no pair, or a score is NaN.
    """
    s, y = np.asarray(score, np.float64), np.asarray(outcome, np.float64)
    w = np.ones(s.shape[-1:]) if weights is None else np.asarray(weights, np.float64)
    if s.ndim == y.ndim == 1 and stratum is None and not np.isnan(s).any() and np.isin(y, (0, 1)).all():
        return _one_ranking(s, y == 1, w)
    strata = np.broadcast_to(np.zeros(s.shape[-1:]) if stratum is None else np.asarray(stratum, np.float64), s.shape)
    order = np.lexsort((s, strata), axis=-1)
    in_stratum = _runs(_along(strata, order))
    ties = _runs(_along(s, order), in_stratum[0])
    right, wrong = _along(w * y, order), _along(w * (1 - y), order)
    before = np.concatenate([np.zeros((*wrong.shape[:-1], 1)), np.cumsum(wrong, -1)], -1)  # wrong rows ahead of a place
    first, last = (_along(before, end) for end in in_stratum)
    below, through = (_along(before, end) for end in ties)
    wins, pairs = (right * ((below + through) / 2 - first)).sum(-1), (right * (last - first)).sum(-1)
    defined = (pairs > 0) & ~np.isnan(s).any(-1)
    return np.divide(wins, pairs, out=np.full(np.shape(wins), np.nan), where=defined)


def _one_ranking(score: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """[*batch] of one ranking on many weightings [*batch, row]: the two outcomes are gathered once, and only the wrong
    rows are summed up along the ranking."""
    wrong = np.flatnonzero(~right)
    wrong = wrong[np.argsort(score[wrong], kind="stable")]
    ahead = np.zeros((*weights.shape[:-1], len(wrong) + 1))  # weight of wrong rows below each place among them
    np.cumsum(weights[..., wrong], -1, out=ahead[..., 1:])
    below, through = (np.searchsorted(score[wrong], score[right], side) for side in ("left", "right"))
    of_right = weights[..., right]
    wins = np.einsum("...r,...r->...", of_right, ahead[..., below])
    tied = below != through
    if tied.any():
        half = (ahead[..., through[tied]] - ahead[..., below[tied]]) / 2
        wins = wins + np.einsum("...r,...r->...", of_right[..., tied], half)
    pairs = of_right.sum(-1) * ahead[..., -1]
    return np.divide(wins, pairs, out=np.full(np.shape(wins), np.nan), where=pairs > 0)


def _runs(ordered: Floats, starts: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([..., row] where the row's run of equal values begins, and where the next one does); starts: where longer runs
    begin, which no run crosses."""
    place = np.arange(ordered.shape[-1])
    new = np.ones(ordered.shape, bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    if starts is not None:
        new |= starts == place
    begin = np.maximum.accumulate(np.where(new, place, 0), -1)
    following = np.where(np.roll(new, -1, -1), place + 1, len(place))
    return begin, np.minimum.accumulate(following[..., ::-1], -1)[..., ::-1]


def _along(values: Floats, index: NDArray[np.int64]) -> Floats:
    """The entries of [..., row] at [..., row]; the leading axes broadcast."""
    if index.ndim == 1:
        return values[..., index]
    return np.take_along_axis(np.broadcast_to(values, (*index.shape[:-1], values.shape[-1])), index, -1)


def _rows(confidence: ArrayLike, outcome: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    c, y = np.asarray(confidence, np.float64).ravel(), np.asarray(outcome, np.float64).ravel()
    w = np.ones_like(c) if weights is None else np.asarray(weights, np.float64).ravel()
    if not c.shape == y.shape == w.shape:
        raise ValueError(f"{len(c)} confidences, {len(y)} outcomes and {len(w)} weights; all three must be as many.")
    return c, y, w
