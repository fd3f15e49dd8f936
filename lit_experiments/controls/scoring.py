"""How well predictions of a target do on test rows: scores with intervals over groups, paired gains, permutations.

Pure functions on arrays. Shapes: n test rows, M predictions to compare (layers, mostly), C columns of one prediction
(1 for a number or for the second of two classes, K for more), B resamples, P permutations. Ranking and R2 do not depend
on whether the columns of classes are probabilities, logits or ridge outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.probes.permutations import Permutations
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration_error import calibration_error
from lit_experiments.statistics.intervals import CORRELATION, EXPLAINED, GAP, PLAIN, SHARE, Scale
from lit_experiments.statistics.ranking import LEAST_FALSE_POSITIVES, Ranking
from lit_experiments.statistics.scores import RankCorrelation, error_terms, mae_from_sums, r2_from_sums

R2, AUROC = "r2", "auroc"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Compares predictions with what is true.

    classes: how many; 0 for numbers. true: [n] numbers or class codes. boot: resamples of the groups of these rows.
    """

    classes: int
    true: Floats
    boot: GroupBootstrap

    @property
    def name(self) -> str:
        """The score that layers and controls are compared by."""
        return AUROC if self.classes else R2

    @property
    def chance(self) -> float:
        """The score of a prediction that knows nothing of the row."""
        return 0.5 if self.classes else 0.0

    @cached_property
    def outcomes(self) -> Floats:
        """[C, n] of classes: 1 for rows of the second of two, or of each of more."""
        codes = range(1, 2) if self.classes == 2 else range(self.classes)
        return np.stack([(self.true == code).astype(np.float64) for code in codes])

    @cached_property
    def weights(self) -> Floats:
        """[B, n] how often each resample has each row."""
        return self.boot.counts[:, self.boot.unit_of_row]

    @cached_property
    def fewest(self) -> int:
        """Groups of the smallest class, on which a ranking rests; all of them for numbers."""
        if not self.classes:
            return self.boot.n
        sides = [side for outcome in self.outcomes for side in (outcome == 1, outcome == 0)]
        return min(len(np.unique(self.boot.unit_of_row[side])) for side in sides)

    def value(self, predicted: Floats) -> Floats:
        """[M] scores of predicted [n, M, C]."""
        return self._on(predicted, np.ones((1, len(self.true))))[0]

    def estimates(self, predicted: Floats) -> list[Estimate]:
        """[M] scores with intervals over groups."""
        return self._estimates(
            self.value(predicted), self._on(predicted, self.weights), SHARE if self.classes else EXPLAINED
        )

    def gain(self, predicted: Floats, over: Floats) -> Estimate:
        """Score of `predicted` [n, C] minus that of `over` [n, C], on the same replicates."""
        pair = np.stack([predicted, over], 1)
        value, draws = self.value(pair), self._on(pair, self.weights)
        return self._estimates(value[:1] - value[1:], draws[:, :1] - draws[:, 1:], GAP if self.classes else PLAIN)[0]

    def null(self, predicted: Floats, permutations: Permutations) -> Floats:
        """[P, M] scores after the labels were permuted between the groups of the test rows."""
        return np.concatenate([self._permuted(predicted, donors) for donors in permutations.blocks()])

    def _estimates(self, value: Floats, draws: Floats, within: Scale) -> list[Estimate]:
        return list(self.boot.from_draws(value, draws, within, self.fewest))

    def _on(self, predicted: Floats, weights: Floats) -> Floats:
        """[B, M] scores of rows counted weights [B, n] times."""
        if not self.classes:
            terms = error_terms(self.true[:, None], predicted[..., 0], self.true.mean())
            sums = weights @ terms.reshape(len(terms), -1)
            return np.asarray(r2_from_sums(sums.reshape(len(weights), *terms.shape[1:])))
        return np.stack(
            [
                mean_over_classes(column, self.outcomes, weights, Ranking.auroc)
                for column in np.moveaxis(predicted, 1, 0)
            ],
            1,
        )

    def _permuted(self, predicted: Floats, donors: Ints) -> Floats:
        """[P, M] for labels of donors [P, n]."""
        if not self.classes:
            middle = self.true.mean()  # else the squares of numbers far from 0 leave nothing of their differences
            p, y = predicted[..., 0] - middle, (self.true - middle)[donors]
            return permuted_r2(y, p)
        total = np.zeros((len(donors), predicted.shape[1]))
        for column, outcome in enumerate(self.outcomes):
            ranks = rankdata(predicted[..., column], axis=0)
            permuted = outcome[donors]
            right = permuted.sum(1, keepdims=True)
            pairs = right * (permuted.shape[1] - right)
            above = permuted @ ranks - right * (right + 1) / 2
            total += np.where(pairs > 0, above / np.maximum(pairs, 1), 0.5)
        return total / len(self.outcomes)


def permuted_r2(y: Floats, p: Floats) -> Floats:
    """[P, M] R2 of predictions p [n, M] for permuted labels y [P, n], both around the mean of the real labels. Where
    groups differ in size, permuted labels have a mean and a spread of their own."""
    squares = (y**2).sum(1, keepdims=True)
    spread = squares - y.sum(1, keepdims=True) ** 2 / y.shape[1]
    errors = squares - 2 * (y @ p) + (p**2).sum(0)
    return np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1.0), -np.inf)


def mean_over_classes(
    columns: Floats, outcomes: Floats, weights: Floats, score: Callable[[Ranking, ArrayLike], Floats]
) -> Floats:
    """[B] a ranking's score of columns [n, C] for outcomes [C, n], averaged over the classes that a resample has."""
    scores = np.stack([score(Ranking.of(columns[:, c], outcome), weights) for c, outcome in enumerate(outcomes)], 1)
    known = np.isfinite(scores)
    count = known.sum(1)
    return np.divide(np.where(known, scores, 0.0).sum(1), count, out=np.full(len(scores), np.nan), where=count > 0)


def of_numbers(scorer: Scorer, predicted: Floats) -> dict[str, Estimate]:
    """r2, spearman and mae of predicted [n]."""
    boot, true = scorer.boot, scorer.true
    rank = RankCorrelation(true, predicted, boot.unit_of_row)
    sums = boot.sums(error_terms(true, predicted, true.mean()))
    return {
        "r2": scorer.estimates(predicted[:, None, None])[0],
        "spearman": boot.from_counts(rank, CORRELATION),
        "mae": boot.from_sums(sums, mae_from_sums).item(),
    }


def of_classes(scorer: Scorer, probability: Floats, bins: int) -> dict[str, Estimate]:
    """The fields of ClassScores, of probability [n, K]."""
    ranked = ranking_columns(probability)
    codes = scorer.true.astype(np.int64)
    ranking = {
        "auroc": Ranking.auroc,
        "aupr": Ranking.average_precision,
    }
    scores = {name: _ranked(scorer, ranked, score) for name, score in ranking.items()}
    scores["recall_at_1_percent"] = _recall(scorer, ranked, 0.01)
    right = (probability.argmax(1) == codes).astype(np.float64)
    losses = -np.log(np.maximum(probability[np.arange(len(codes)), codes], 1e-300))
    scores["accuracy"] = scorer.boot.mean(right, SHARE).item()
    scores["balanced_accuracy"] = _balanced(scorer, right, codes)
    scores["calibration_error"] = calibration_error(probability.max(1), right, bins, scorer.boot)
    scores["brier"] = scorer.boot.mean(_brier(probability, codes)).item()
    scores["log_loss"] = scorer.boot.mean(losses).item()
    return scores


def ranking_columns(values: Floats) -> Floats:
    """[..., C] what ranks rows, of numbers or of values [..., K] of classes: the second alone where there are two."""
    return values[..., 1:] if values.shape[-1] == 2 else values


def _ranked(scorer: Scorer, columns: Floats, score: Callable[[Ranking, ArrayLike], Floats]) -> Estimate:
    ones = np.ones((1, len(scorer.true)))
    value = mean_over_classes(columns, scorer.outcomes, ones, score)
    draws = mean_over_classes(columns, scorer.outcomes, scorer.weights, score)
    return scorer.boot.from_draws(value[0], draws, SHARE, scorer.fewest).item()


def _recall(scorer: Scorer, columns: Floats, rate: float) -> Estimate:
    """At this false-positive rate; on resamples, since the jackknife misjudges a quantile. No interval where fewer than
    LEAST_FALSE_POSITIVES rows set a threshold."""

    def recall(order: Ranking, weights: ArrayLike) -> Floats:
        return order.recall_at(rate, weights)

    value = mean_over_classes(columns, scorer.outcomes, np.ones((1, len(scorer.true))), recall)[0]
    rankings = [Ranking.of(columns[:, c], outcome) for c, outcome in enumerate(scorer.outcomes)]
    if not all(ranking.sets_threshold(rate) for ranking in rankings):
        reason = f"a threshold set by fewer than {LEAST_FALSE_POSITIVES} false positives"
        return Estimate(float(value), np.nan, np.nan, scorer.boot.n, scorer.boot.level, reason)
    weights = scorer.boot.resampled[:, scorer.boot.unit_of_row]
    draws = mean_over_classes(columns, scorer.outcomes, weights, recall)
    return scorer.boot.from_resamples(value, draws, SHARE, scorer.fewest).item()


def _balanced(scorer: Scorer, right: Floats, codes: Ints) -> Estimate:
    member = np.stack([codes == code for code in np.unique(codes)], 1).astype(np.float64)
    sums = scorer.boot.sums(np.stack([member * right[:, None], member], -1).reshape(len(right), -1))

    def recall(totals: Floats) -> Floats:
        pairs = totals.reshape(*totals.shape[:-1], -1, 2)
        shares = np.divide(pairs[..., 0], pairs[..., 1], out=np.full(pairs.shape[:-1], np.nan), where=pairs[..., 1] > 0)
        return np.asarray(np.nanmean(shares, -1))

    return scorer.boot.from_sums(sums, recall, SHARE).item()


def _brier(probability: Floats, codes: Ints) -> Floats:
    if probability.shape[1] == 2:
        return (probability[:, 1] - codes) ** 2
    return ((probability - np.eye(probability.shape[1])[codes]) ** 2).sum(1)
