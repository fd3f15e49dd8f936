"""Does a ridge of confidence, trained on one pass, read the other pass's states? Pure functions on arrays.

Questions are split once, the same for both passes: a question tested on was trained on in neither. Penalties are chosen
by folds of the training questions. Shapes: Q questions that both passes hold, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lit_experiments.experiments.introspection.ridge import Ridge, choose_ridge
from lit_experiments.probes.blocks import TEST
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.scores import RankCorrelation, error_terms, r2_from_sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """part: [Q] TEST or the training fold; boot: resamples of the test questions; permutations, seed: of p-values."""

    part: Ints
    boot: GroupBootstrap
    permutations: int
    seed: int

    @property
    def test(self) -> NDArray[np.bool_]:
        return np.asarray(self.part == TEST)


def transfer(states: dict[str, Floats], told: dict[str, Floats], split: Split, penalties: list[float]) -> list[Any]:
    """Every pair (trained on, evaluated on) of passes, scored against the confidence told in the pass evaluated on.

    states: pass -> [Q, D] of one layer; told: pass -> [Q] confidence, percent.

    Returns:
        Per pair: r2, spearman (Estimates), p of Spearman against permuted questions (one-sided), penalty; and where the
        passes differ, gap_r2 and gap_spearman: transferred minus within, on the same resamples.
    """
    fits = {kind: fit_on_training(states[kind], told[kind], split, penalties) for kind in states}
    out = []
    for evaluated in states:
        y, center = told[evaluated][split.test], float(told[evaluated][~split.test].mean())
        predicted = {kind: fits[kind].predict(states[evaluated][split.test]) for kind in states}
        for trained in states:
            scores = _scores(y, predicted[trained], center, split)
            about = {"trained": trained, "evaluated": evaluated, "penalty": fits[trained].penalty}
            if trained != evaluated:
                about |= _gaps(y, predicted[trained], predicted[evaluated], center, split)
            out.append(about | scores)
    return out


def fit_on_training(x: Floats, y: Floats, split: Split, penalties: list[float]) -> Ridge:
    """A ridge on the training questions; x: [Q, D], y: [Q]."""
    train = ~split.test
    return choose_ridge(x[train], y[train], split.part[train], penalties)


def _scores(y: Floats, predicted: Floats, center: float, split: Split) -> dict[str, Any]:
    if not np.ptp(predicted) > 0:  # a layer whose states are all the same
        predicted = np.full(len(y), np.nan)
    r2 = split.boot.from_sums(split.boot.sums(error_terms(y, predicted, center)), r2_from_sums).item()
    ranks = RankCorrelation(y, predicted, split.boot.unit_of_row)
    known = bool(np.isfinite(predicted).all())
    spearman = split.boot.from_counts(ranks if known else _undefined)
    return {"r2": r2, "spearman": spearman, "p": permutation_p(y, predicted, split.permutations, split.seed)}


def _gaps(y: Floats, transferred: Floats, within: Floats, center: float, split: Split) -> dict[str, Any]:
    if not (np.ptp(transferred) > 0 and np.ptp(within) > 0):
        transferred = np.full(len(y), np.nan)
    terms = np.concatenate([error_terms(y, p, center) for p in (transferred, within)], -1)
    split_at = terms.shape[-1] // 2
    r2 = split.boot.from_sums(
        split.boot.sums(terms), lambda s: r2_from_sums(s[..., :split_at]) - r2_from_sums(s[..., split_at:])
    ).item()
    first, second = (RankCorrelation(y, p, split.boot.unit_of_row) for p in (transferred, within))
    known = bool(np.isfinite(transferred).all())
    spearman = split.boot.from_counts((lambda counts: first(counts) - second(counts)) if known else _undefined)
    return {"gap_r2": r2, "gap_spearman": spearman}


def _undefined(counts: Floats) -> float:
    return float("nan")


def permutation_p(y: Floats, predicted: Floats, permutations: int, seed: int) -> float:
    """(1 + permutations of the rows with a Spearman at least as high) / (1 + permutations); NaN without spread."""
    if not (np.isfinite(predicted).all() and np.ptp(y) > 0 and np.ptp(predicted) > 0):
        return float("nan")
    a, b = (rankdata(v) - (len(y) + 1) / 2 for v in (y, predicted))
    drawn = np.random.default_rng(seed).permuted(np.tile(a, (permutations, 1)), axis=1) @ b
    return float((1 + (drawn >= a @ b - 1e-9 * abs(a @ b)).sum()) / (1 + permutations))
