"""Does a ridge of confidence, trained on one pass, read the other pass's states? Pure functions on arrays.

Questions are split once, the same for both passes: a question tested on was trained on in neither. Penalties are chosen
by folds of the training questions. Shapes: Q questions that both passes hold, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lit_experiments.experiments.introspection.self_other.result import Carried
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.permutations import Permutations
from lit_experiments.probes.row_ridge import Ridge, choose_ridge
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.intervals import CORRELATION, EXPLAINED
from lit_experiments.statistics.permutation import permutation_p
from lit_experiments.statistics.scores import RankCorrelation, error_terms, r2_from_sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """part: [Q] TEST or the training fold; boot: resamples of the groups of test questions; permutations: of these."""

    part: Ints
    boot: GroupBootstrap
    permutations: Permutations

    @property
    def test(self) -> NDArray[np.bool_]:
        return np.asarray(self.part == TEST)


@dataclass(frozen=True)
class Tested:
    """A score that is not yet corrected, with what it is tested by: Spearman of the ranks, on every permutation of the
    test questions, and without each of their groups."""

    score: Carried
    value: float
    null: Floats
    draws: Floats


def transfer(
    states: dict[str, Floats], confidence: dict[str, Floats], split: Split, penalties: list[float]
) -> list[Tested]:
    """Every pair (trained on, evaluated on) of passes, scored against the confidence stated in the pass evaluated on.

    states: pass -> [Q, D] of one layer; confidence: pass -> [Q], percent. Gaps are on the same replicates. p_corrected
    is that of a single test, which is p.
    """
    fits = {kind: fit_on_training(states[kind], confidence[kind], split, penalties) for kind in states}
    out = []
    for evaluated in states:
        y, center = confidence[evaluated][split.test], float(confidence[evaluated][~split.test].mean())
        predicted = {kind: fits[kind].predict(states[evaluated][split.test]) for kind in states}
        for trained in states:
            r2, draws = _scores(y, predicted[trained], center, split)
            spearman = split.boot.from_draws(draws[0], draws[1:], CORRELATION).item()
            value, null = moved_spearman(y, _varying(predicted[trained]), split.permutations)
            p = float(permutation_p(value, null))
            gaps: tuple[Estimate | None, Estimate | None] = (None, None)
            if trained != evaluated:
                gaps = _gaps(y, predicted[trained], predicted[evaluated], center, split)
            score = Carried(trained, evaluated, fits[trained].penalty, r2, spearman, p, p, spearman, *gaps)
            out.append(Tested(score, value, null, draws))
    return out


def fit_on_training(x: Floats, y: Floats, split: Split, penalties: list[float]) -> Ridge:
    """A ridge on the training questions; x: [Q, D], y: [Q]."""
    train = ~split.test
    return choose_ridge(x[train], y[train], split.part[train], penalties)


def moved_spearman(y: Floats, predicted: Floats, permutations: Permutations) -> tuple[float, Floats]:
    """Rank correlation of y [row] and predicted [row], and [permutation] those with y permuted between groups; NaN
    without spread or for values that are not finite."""
    if not (np.isfinite(y).all() and np.isfinite(predicted).all() and np.ptp(y) > 0 and np.ptp(predicted) > 0):
        return float("nan"), np.full(permutations.count, np.nan)
    ranks, others = (rankdata(v) - (len(y) + 1) / 2 for v in (y, predicted))
    others = others / np.sqrt((ranks @ ranks) * (others @ others))
    return float(ranks @ others), np.concatenate([ranks[donors] @ others for donors in permutations.blocks()])


def _varying(predicted: Floats) -> Floats:
    """Predictions, NaN where they are all the same: those from a layer whose states are all the same."""
    return predicted if np.ptp(predicted) > 0 else np.full(len(predicted), np.nan)


def _scores(y: Floats, predicted: Floats, center: float, split: Split) -> tuple[Estimate, Floats]:
    """(R2; [1 + replicate] Spearman, and that of each replicate)."""
    predicted = _varying(predicted)
    r2 = split.boot.from_sums(split.boot.sums(error_terms(y, predicted, center)), r2_from_sums, EXPLAINED).item()
    known = bool(np.isfinite(predicted).all())
    ranks = RankCorrelation(y, predicted, split.boot.unit_of_row) if known else _undefined
    return r2, np.array([ranks(counts) for counts in (np.ones(split.boot.units), *split.boot.counts)])


def _gaps(y: Floats, transferred: Floats, within: Floats, center: float, split: Split) -> tuple[Estimate, Estimate]:
    """(R2, Spearman) of the transferred predictions minus those of the pass itself."""
    if not (np.ptp(transferred) > 0 and np.ptp(within) > 0):
        transferred = np.full(len(y), np.nan)
    terms = np.concatenate([error_terms(y, p, center) for p in (transferred, within)], -1)
    split_at = terms.shape[-1] // 2
    r2 = split.boot.from_sums(
        split.boot.sums(terms), lambda s: r2_from_sums(s[..., :split_at]) - r2_from_sums(s[..., split_at:])
    ).item()
    first, second = (RankCorrelation(y, p, split.boot.unit_of_row) for p in (transferred, within))
    known = bool(np.isfinite(transferred).all())
    return r2, split.boot.from_counts((lambda counts: first(counts) - second(counts)) if known else _undefined)


def _undefined(counts: Floats) -> float:
    return float("nan")
