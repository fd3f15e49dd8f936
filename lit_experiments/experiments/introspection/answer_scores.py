"""Scores of study 3's questions: accuracy, confidence, calibration; of one store, and of two over the same questions.

Owns which scores there are and what they are made of. Does not know: how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.passes import CONFIDENCE_PASSES, OTHER, SELF
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration import auroc, brier_score
from lit_experiments.statistics.calibration_error import bin_sums, from_square, mean_square_gap, root
from lit_experiments.statistics.intervals import GAP, SHARE, Scale

Floats = NDArray[np.float64]
BINS = 10
Rows = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Measure:
    """A statistic of the questions of the mcq pass: function(values [question, ...], weights [question]).

    within: its range, where it is a share or an AUROC. rests_on: questions on the smaller side of what it compares.
    """

    values: Floats
    function: Callable[[Floats, Floats], float]
    within: Scale | None
    rests_on: int

    def __call__(self, weights: Floats) -> float:
        return self.function(self.values, weights)

    def estimate(self, boot: GroupBootstrap) -> Estimate:
        """With its interval over questions."""
        if self.function is _calibration_error:  # its square is a mean, which the root at 0 is far from
            square = boot.from_rows(lambda weights: float(mean_square_gap(weights @ self.values)))
            return from_square(square)
        return boot.from_rows(self, self.within, self.rests_on)

    def gap_to(self, other: Measure, boot: GroupBootstrap) -> Estimate:
        """The other's score minus this one's, on the same replicates: a paired difference."""
        within = None if self.within is None else GAP
        return boot.from_rows(lambda w: other(w) - self(w), within, min(self.rests_on, other.rests_on))


def measures(rows: Rows) -> dict[str, Measure]:
    """Every score of a store's mcq pass by name, with the other passes' confidence in the same questions."""
    mcq = rows["mcq"]
    correct = mcq.is_correct.to_numpy(np.float64)
    rarer = int(min((correct == 1).sum(), (correct == 0).sum()))

    def mean(values: Floats, within: Scale | None = None) -> Measure:
        return Measure(values[:, None], mean_of, within, len(mcq))

    scores = {"accuracy": mean(correct, SHARE), "mean entropy, nats": mean(mcq.entropy.to_numpy(np.float64))}
    stated = {kind: rows[kind][kind].reindex(mcq.index).to_numpy() / 100 for kind in CONFIDENCE_PASSES if kind in rows}
    sources = {"answer's probability": np.array([max(probs) for probs in mcq.probs])}
    sources |= {"self-confidence": stated[SELF]} if SELF in stated else {}
    for name, confidence in sources.items():
        values = np.stack([confidence, correct], 1)
        scores |= {
            f"mean of {name}": Measure(values, mean_of, None, len(mcq)),
            f"calibration error of {name}": Measure(_calibration_terms(values), _calibration_error, None, len(mcq)),
            f"Brier of {name}": Measure(values, _brier, None, len(mcq)),
            f"AUROC of {name}": Measure(values, _auroc, SHARE, rarer),
        }
    return scores | ({"mean of other-confidence": mean(stated[OTHER])} if OTHER in stated else {})


def mean_of(values: Floats, weights: Floats) -> float:
    """Weighted mean of the first column."""
    return float(weights @ values[:, 0] / weights.sum())


def _calibration_terms(values: Floats) -> Floats:
    """[question, 4 * bins] what to add up for the calibration error of confidence and outcome [question, 2]."""
    gaps, rows = bin_sums(values[:, 0], values[:, 1], BINS)
    return np.concatenate([gaps, gaps**2, rows, rows**2], axis=1)


def _calibration_error(values: Floats, weights: Floats) -> float:
    return root(float(mean_square_gap(weights @ values)))


def _brier(values: Floats, weights: Floats) -> float:
    return brier_score(values[:, 0], values[:, 1], weights)


def _auroc(values: Floats, weights: Floats) -> float:
    return auroc(values[:, 0], values[:, 1], weights)


def agreement(first: pd.DataFrame, second: pd.DataFrame) -> Measure:
    """Share of questions with the same answer, of rows of the mcq pass of two stores in the same order.

    Options are compared, not letters, which mean nothing between runs that shuffled their options.
    """
    agree = [x == y for x, y in zip(_answers(first), _answers(second), strict=True)]
    return Measure(np.array(agree, np.float64)[:, None], mean_of, SHARE, len(agree))


def _answers(rows: pd.DataFrame) -> list[str]:
    return [options["ABCD".index(letter)] for options, letter in zip(rows.options, rows.parsed_answer, strict=True)]


def in_both(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """The passes and questions that two stores share, in the same order; passes without a common question left out."""
    common = {kind: a[kind].index.intersection(b[kind].index) for kind in a if kind in b}
    kinds = [kind for kind, index in common.items() if len(index)]
    first, second = ({kind: rows[kind].loc[common[kind]] for kind in kinds} for rows in (a, b))
    return first, second
