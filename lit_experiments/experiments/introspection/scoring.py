"""How well held-out questions are predicted: R2, AUROC or accuracy, on all resamples and permutations at once.

Pure functions on arrays. Shapes: Q test questions, M predictions to compare (layers, mostly), C columns of one
prediction (1 for a number, one per class for classes), B resamples, N permutations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.scoring import permuted_r2
from lit_experiments.probes.permutations import Permutations
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.intervals import EXPLAINED, GAP, SHARE, Scale
from lit_experiments.statistics.scores import error_terms, r2_from_sums

Floats = NDArray[np.float64]
R2, AUROC, ACCURACY = "r2", "auroc", "accuracy"
NAMES = {R2: "R2", AUROC: "AUROC", ACCURACY: "accuracy"}
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Scorer:
    """Scores of predictions of one target on the test questions.

    kind: r2, auroc (of the second of two classes) or accuracy. true: [Q] values or class codes. boot: resamples of the
    groups of the test questions, one row each.
    """

    kind: str
    true: Floats
    boot: GroupBootstrap

    def value(self, predicted: Floats) -> Floats:
        """[M] scores of predicted [Q, M, C]."""
        return self._on(predicted, np.ones((1, len(self.true))))[0]

    def draws(self, predicted: Floats) -> Floats:
        """[B, M] scores on each replicate of the questions, for intervals."""
        return self.boot.draws(partial(self._on, predicted))

    def resampled(self, predicted: Floats) -> Floats:
        """[B, M] scores on each resample of the questions, for distributions."""
        return self.boot.resampled_draws(partial(self._on, predicted))

    def estimates(self, predicted: Floats) -> list[Estimate]:
        """[M] scores with intervals over questions."""
        value, draws = self.value(predicted), self.draws(predicted)
        return list(self.boot.from_draws(value, draws, self.within, self.rests_on))

    def gains(self, predicted: Floats, over: Floats) -> list[Estimate]:
        """[M] score of `predicted` minus that of `over` [Q, M or 1, C], on the same replicates."""
        value = _difference(self.value(predicted), self.value(over))
        draws = _difference(self.draws(predicted), self.draws(over))
        return list(self.boot.from_draws(value, draws, self.gap_within, self.rests_on))

    @property
    def within(self) -> Scale:
        """Where scores lie."""
        return EXPLAINED if self.kind == R2 else SHARE

    @property
    def gap_within(self) -> Scale | None:
        """Where differences of scores lie."""
        return None if self.kind == R2 else GAP

    @property
    def rests_on(self) -> int:
        """Groups of the rarer class, where the score compares two classes; else all."""
        units = self.boot.unit_of_row
        if self.kind != AUROC:
            return len(np.unique(units))
        return min(len(np.unique(units[self.true == code])) for code in (0, 1))

    def null(self, predicted: Floats, permutations: Permutations) -> Floats:
        """[N, M] scores after permuting the targets between the groups of test questions, as predictions that know
        nothing of them have.

        The predictions were made without the test targets, so under the null hypothesis that they are unrelated every
        pairing is as likely as the real one.
        """
        return np.concatenate([self._permuted(predicted, self.true[donors]) for donors in permutations.blocks()])

    def _on(self, predicted: Floats, weights: Floats) -> Floats:
        """[B, M] scores of rows counted weights [B, Q] times."""
        if self.kind == AUROC:
            return np.stack([aurocs(score, self.true, weights) for score in score_column(predicted).T], -1)
        if self.kind == ACCURACY:
            right = (predicted.argmax(-1) == self.true[:, None]).astype(np.float64)
            return (weights @ right) / weights.sum(1, keepdims=True)
        terms = error_terms(self.true[:, None], predicted[..., 0], self.true.mean())
        sums = weights @ terms.reshape(len(terms), -1)
        return np.asarray(r2_from_sums(sums.reshape(len(weights), *terms.shape[1:])))

    def _permuted(self, predicted: Floats, true: Floats) -> Floats:
        """[N, M] for true [N, Q]."""
        if self.kind == AUROC:
            return np.stack([aurocs(score, true) for score in score_column(predicted).T], -1)
        if self.kind == ACCURACY:
            answer = predicted.argmax(-1)
            return sum((true == c).astype(np.float64) @ (answer == c) for c in np.unique(self.true)) / len(self.true)
        middle = self.true.mean()  # else the squares of numbers far from 0 leave nothing of their differences
        return permuted_r2(true - middle, predicted[..., 0] - middle)


def score_column(predicted: Floats) -> Floats:
    """[Q, M] what ranks questions: the number itself, or the second of two classes against the first."""
    return predicted[..., 0] if predicted.shape[-1] == 1 else predicted[..., 1] - predicted[..., 0]


def _difference(scores: Floats, others: Floats) -> Floats:
    """scores - others, 0 where they differ by rounding: groups that agree then do so exactly."""
    gap = np.asarray(scores - others)
    return np.where(np.abs(gap) <= _ROUNDING * np.maximum(np.abs(scores), np.abs(others)), 0.0, gap)
