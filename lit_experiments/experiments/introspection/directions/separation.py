"""Difference-of-means directions and how well they separate rows that they have not seen. Pure functions on arrays.

Held-out scores of several folds are never pooled: a direction's midpoint moves with the composition of its training
part, against that of the held-out one, which pulls pooled scores below chance. Pairs are compared within a fold.
Shapes: M rows of high or low confidence, D hidden, S labelings, F folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.passes import NothingToCompare
from lit_experiments.probes.splits import GroupMoves, group_split
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.intervals import SHARE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_FOLD_SEEDS = 1_000_003
"""Between the seeds of two folds' permutations."""
_LEAST_GAP = 1e-3  # percent; below this, confidences differ by the model's rounding


@dataclass(frozen=True)
class Extremes:
    """The questions of high and of low confidence among a pass's rows.

    rows: [M] their places; high: [M]; fold: [M], each fold with its share of both; lower, upper: the thresholds.
    """

    rows: Ints
    high: Bools
    fold: Ints
    lower: float
    upper: float


def extremes(confidence: Floats, groups: NDArray[np.str_], share: float, folds: int, seed: int) -> Extremes:
    """Questions at or below the `share` quantile of confidence and at or above the 1 - `share` one; ties stay together.

    confidence: [question], NaN where there is none: such a question is neither high nor low. groups: [question] names
    of what no two folds share.

    Raises:
        NothingToCompare: confidence hardly varies, or the folds need more groups of questions.
    """
    known = confidence[np.isfinite(confidence)]
    lower, upper = np.quantile(known, [share, 1 - share]) if len(known) else (np.nan, np.nan)
    low, high = confidence <= lower, confidence >= upper
    fewest = 2 * folds
    if len(known) and not upper - lower > _LEAST_GAP:
        raise NothingToCompare(
            f"confidence hardly varies over its {len(known)} questions ({known.min():.3f} to "
            f"{known.max():.3f} %, thresholds {lower:.3f} and {upper:.3f} %), so none is high or low."
        )
    alone = low & ~np.isin(groups, groups[high])
    counts = [len(np.unique(groups[chosen])) for chosen in (high, alone)]
    if min(counts) < fewest:
        raise NothingToCompare(
            f"{len(known)} questions give {counts[0]} of high and {counts[1]} of low confidence; {folds} folds "
            f"need {fewest} of each, alike ones counted once. Collect more questions, or lower --folds."
        )
    fold = np.full(len(confidence), -1, np.int64)
    for chosen in (alone, high):
        fold[chosen] = group_split(groups[chosen], 0.0, folds, seed)
    fold_of = dict(zip(groups[high].tolist(), fold[high].tolist(), strict=True))
    for place in np.flatnonzero(low & ~alone).tolist():
        fold[place] = fold_of[groups[place]]
    rows = np.flatnonzero(low | high)
    return Extremes(rows, high[rows], fold[rows], float(lower), float(upper))


def direction(x: Floats, high: Bools) -> Floats:
    """Unit vector [D] from the mean of the low to the mean of the high rows; NaN if the means are the same."""
    difference = x[high].mean(0) - x[~high].mean(0)
    length = np.linalg.norm(difference)
    return difference / length if length else np.full_like(difference, np.nan)


def held_out_projections(x: Floats, high: Bools, fold: Ints) -> Floats:
    """[M, S] projection of each row on the unit direction of the other folds, for each labeling high [M, S]."""
    out = np.full(high.shape, np.nan)
    for f in np.unique(fold):
        test = fold == f
        train = high[~test].astype(np.float64)
        weights = train / train.sum(0) - (1 - train) / (1 - train).sum(0)
        directions = x[~test].T @ weights
        with np.errstate(invalid="ignore"):
            out[test] = (x[test] @ directions) / np.linalg.norm(directions, axis=0)
    return out


def shuffled_labels(high: Bools, fold: Ints, groups: NDArray[np.str_], shuffles: int, seed: int) -> Bools:
    """[M, S] labels permuted between the groups [M] of each fold, so that every fold keeps its share of both."""
    out = np.repeat(high[:, None], shuffles, 1)
    for f in np.unique(fold).tolist():
        rows = np.flatnonzero(fold == f)
        codes = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
        moves = GroupMoves.of(codes, _FOLD_SEEDS * (f + 1) + seed)  # else folds of one size would move alike
        for number in range(shuffles):
            out[rows, number] = high[rows[moves.donors(number)]]
    return out


def auroc_estimate(scores: Floats, high: Bools, fold: Ints, boot: GroupBootstrap) -> Estimate:
    """Probability that a high row scores above a low one of its fold, ties half, with its interval over questions;
    undefined for undefined scores."""
    estimate: Estimate = auroc_estimates([auroc_draws(scores, high, fold, boot)], high, boot)[0]
    return estimate


def auroc_draws(scores: Floats, high: Bools, fold: Ints, boot: GroupBootstrap) -> Floats:
    """[1 + replicate] the AUROC of `auroc_estimate`, and those of each replicate; NaN for undefined scores."""
    if not np.isfinite(scores).all():
        return np.full(1 + len(boot.counts), np.nan)
    return np.append(aurocs(scores, high, stratum=fold), boot.draws(lambda w: aurocs(scores, high, w, fold)))


def auroc_estimates(draws: Sequence[Floats], high: Bools, boot: GroupBootstrap) -> NDArray[np.object_]:
    """[layer] from the `auroc_draws` of each."""
    columns = np.stack(draws, 1)
    return boot.from_draws(columns[0], columns[1:], SHARE, int(min(high.sum(), len(high) - high.sum())))


def cohens_d(scores: Floats, high: Bools, fold: Ints, boot: GroupBootstrap) -> Estimate:
    """Standardised difference of held-out projections, high minus low, with its interval over questions.

    Differences within folds, weighted as in a stratified comparison (n_high n_low / n), over the standard deviation
    pooled within folds and classes.
    """
    if not np.isfinite(scores).all():
        return Estimate.undefined(boot.n, boot.level)
    n_folds = int(fold.max()) + 1
    terms = np.zeros((len(scores), n_folds, 2, 3))
    relative = scores - scores.mean()
    terms[np.arange(len(scores)), fold, high.astype(int)] = np.stack(
        [np.ones_like(relative), relative, relative**2], -1
    )
    return boot.from_sums(boot.sums(terms.reshape(len(terms), -1)), _d_from_sums).item()


def _d_from_sums(sums: Floats) -> Floats:
    """[...] from totals [..., F * 2 * 3] of count, sum and squares by fold and class."""
    n, total, squares = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 2, 3), -1, 0)
    mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    inside = (squares - n * mean**2).sum((-1, -2)) / (n.sum((-1, -2)) - (n > 0).sum((-1, -2)))
    size = n.sum(-1)
    weight = np.divide(n[..., 0] * n[..., 1], size, out=np.zeros_like(size), where=size > 0)
    gap = (weight * (mean[..., 1] - mean[..., 0])).sum(-1) / weight.sum(-1)
    return np.where(inside > 0, gap / np.sqrt(np.where(inside > 0, inside, 1.0)), np.nan)


@dataclass(frozen=True)
class Labelled:
    """One pass's states [question, D] with who is of high and of low confidence [question], as 0 and 1."""

    x: Floats
    high: Floats
    low: Floats


def squared_length(a: Labelled, weights: Floats | None = None) -> float:
    """Squared length of the true difference of means, without sampling noise: products of different questions only."""
    w = np.ones(len(a.x)) if weights is None else weights
    return _inner(_products(a.x, a.x), (a.high * w, a.low * w), (a.high * w, a.low * w))


def corrected_cosine(a: Labelled, b: Labelled, boot: GroupBootstrap) -> Estimate:
    """Cosine between the true differences of means of two passes over the same questions, with its interval.

    Sampling noise makes estimated directions point apart, and noise that a question carries into both passes makes
    them point together; both come in through products of a question with itself, which are left out (as in a
    U-statistic). Undefined where a squared length is not above 0: no direction to compare. May slightly exceed 1.
    """
    aa, bb, ab = _products(a.x, a.x), _products(b.x, b.x), _products(a.x - a.x.mean(0), b.x - b.x.mean(0))

    def cosine(w: Floats) -> float:
        first, second = (a.high * w, a.low * w), (b.high * w, b.low * w)
        lengths = _inner(aa, first, first), _inner(bb, second, second)
        if not min(lengths) > 0:
            return float("nan")
        return _inner(ab, first, second) / float(np.sqrt(lengths[0] * lengths[1]))

    # Resamples, and not the jackknife: a direction that is not above the noise in many of them is none to compare.
    draws = boot.resampled_draws(lambda weights: np.array([cosine(w) for w in weights]))
    estimate: Estimate = boot.from_resamples(cosine(np.ones(len(boot.unit_of_row))), draws).item()
    return estimate if estimate.has_interval or estimate.unanimous else Estimate.undefined(boot.n, boot.level)


def _products(x: Floats, y: Floats) -> Floats:
    """[question, question] inner products, 0 for a question with itself."""
    products = x @ y.T
    np.fill_diagonal(products, 0.0)
    return products


def _inner(products: Floats, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    """(high - low of a) . (high - low of b), each mean product over pairs of different questions."""
    total = 0.0
    for i, sign_a in ((0, 1), (1, -1)):
        row = a[i] @ products
        for j, sign_b in ((0, 1), (1, -1)):
            pairs = float(a[i].sum() * b[j].sum() - a[i] @ b[j])
            if pairs <= 0:
                return float("nan")
            total += sign_a * sign_b * float(row @ b[j]) / pairs
    return total
