"""Scores of study 3's questions: accuracy, confidence, calibration; of one store, and of two over the same questions.

Owns which scores there are and what they are made of. Does not know: how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import GAP, SHARE, Range
from lit_experiments.statistics.calibration import auroc, brier_score, expected_calibration_error

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
    within: Range | None
    rests_on: int

    def __call__(self, weights: Floats) -> float:
        return self.function(self.values, weights)

    def estimate(self, boot: GroupBootstrap) -> Estimate:
        """With its interval over questions."""
        return boot.from_rows(self, self.within, self.rests_on)

    def gap_to(self, other: Measure, boot: GroupBootstrap) -> Estimate:
        """The other's score minus this one's, on the same resamples: a paired difference."""
        within = None if self.within is None else GAP
        return boot.from_rows(lambda w: other(w) - self(w), within, min(self.rests_on, other.rests_on))


def measures(found: Rows) -> dict[str, Measure]:
    """Every score of a store's mcq pass by name, with the other passes' confidence in the same questions."""
    mcq = found["mcq"]
    correct = mcq.is_correct.to_numpy(np.float64)
    top = np.array([max(probs) for probs in mcq.probs])
    parts: dict[str, Any] = {
        "accuracy": (correct[:, None], mean_of),
        "mean entropy, nats": (mcq[["entropy"]], mean_of),
    }
    sources = {"answer's probability": top}
    if "self_confidence" in found:
        sources["self-confidence"] = found["self_confidence"].self_confidence.reindex(mcq.index).to_numpy() / 100
    for name, confidence in sources.items():
        values = np.stack([confidence, correct], 1)
        parts[f"mean of {name}"] = (values[:, :1], mean_of)
        for score, function in (("ECE", _ece), ("Brier", _brier), ("AUROC", _auroc)):
            parts[f"{score} of {name}"] = (values, function)
    if "other_confidence" in found:
        told = found["other_confidence"].other_confidence.reindex(mcq.index).to_numpy() / 100
        parts["mean of other-confidence"] = (told[:, None], mean_of)
    rarer = int(min((correct == 1).sum(), (correct == 0).sum()))
    return {
        name: Measure(
            np.asarray(values, np.float64),
            function,
            SHARE if name == "accuracy" or function is _auroc else None,
            rarer if function is _auroc else len(mcq),
        )
        for name, (values, function) in parts.items()
    }


def mean_of(values: Floats, weights: Floats) -> float:
    """Weighted mean of the first column."""
    return float(weights @ values[:, 0] / weights.sum())


def _ece(values: Floats, weights: Floats) -> float:
    return expected_calibration_error(values[:, 0], values[:, 1], BINS, weights)


def _brier(values: Floats, weights: Floats) -> float:
    return brier_score(values[:, 0], values[:, 1], weights)


def _auroc(values: Floats, weights: Floats) -> float:
    return auroc(values[:, 0], values[:, 1], weights)


def agreement(this: pd.DataFrame, other: pd.DataFrame) -> Measure:
    """Share of questions with the same answer, of rows of the mcq pass of two stores in the same order.

    Options are compared, not letters, which mean nothing between runs that shuffled their options.
    """
    same = [x == y for x, y in zip(_answers(this), _answers(other), strict=True)]
    return Measure(np.array(same, np.float64)[:, None], mean_of, SHARE, len(same))


def _answers(rows: pd.DataFrame) -> list[str]:
    return [options["ABCD".index(letter)] for options, letter in zip(rows.options, rows.parsed_answer, strict=True)]


def in_both(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """The passes and questions that two stores share, in the same order; passes without a common question left out."""
    common = {kind: a[kind].index.intersection(b[kind].index) for kind in a if kind in b}
    kinds = [kind for kind, index in common.items() if len(index)]
    first, second = ({kind: each[kind].loc[common[kind]] for kind in kinds} for each in (a, b))
    return first, second
