"""One pass of two runs over the same questions: how states, directions and likeness differ, layer by layer.

Owns the pairing: every difference is computed on resamples of questions that both sides share, alike ones together.
Knows no page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.compare.result import Changed, DirectionChange, StateChange
from lit_experiments.experiments.introspection.directions.separation import (
    Extremes,
    Labelled,
    corrected_cosine,
    extremes,
    held_out_projections,
)
from lit_experiments.experiments.introspection.passes import NothingToCompare, answer_states
from lit_experiments.experiments.introspection.self_other.alikeness import centered, mean_estimate
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.statistics.similarity import linear_cka, row_cosines
from stores import Store

Floats = NDArray[np.float64]
NAMES = ("base", "finetuned")


@dataclass(frozen=True)
class Pair:
    """One pass of both runs: their stores, their rows (the same questions in the same order), the groups [question] of
    alike ones, and resamples of these groups."""

    stores: tuple[Store, Store]
    rows: tuple[pd.DataFrame, pd.DataFrame]
    groups: NDArray[np.str_]
    boot: GroupBootstrap

    def states(self, layer: int) -> tuple[Floats, Floats]:
        """Answer-position states [question, hidden] of both."""
        base, tuned = (answer_states(s, r, layer) for s, r in zip(self.stores, self.rows, strict=True))
        return base, tuned

    def extremes(self, kind: str, share: float, folds: int, seed: int) -> tuple[Extremes, Extremes]:
        """Each run's questions of high and low confidence.

        Raises:
            NothingToCompare: one of the runs has none; the message names it.
        """
        chosen = []
        for name, rows in zip(NAMES, self.rows, strict=True):
            try:
                chosen.append(extremes(rows[kind].to_numpy(np.float64), self.groups, share, folds, seed))
            except NothingToCompare as reason:
                raise NothingToCompare(f"of the {name} run, {reason}") from reason
        return chosen[0], chosen[1]


def state_change(pair: Pair, layer: int) -> StateChange:
    """How far finetuning moved the states of one layer."""
    base, tuned = pair.states(layer)
    moved, length = np.linalg.norm(tuned - base, axis=1), np.linalg.norm(base, axis=1)
    return StateChange(
        cosine=mean_estimate(row_cosines(base, tuned), pair.boot),
        cka=linear_cka(base - base[:1], tuned - tuned[:1]),
        largest_difference=float(np.abs(tuned - base).max()),
        relative_change=pair.boot.ratio(moved, length).item(),
    )


def direction_change(pair: Pair, chosen: tuple[Extremes, Extremes], layer: int) -> DirectionChange:
    """Held-out separation of high and low confidence in each run, the difference, and the cosine of the two directions.

    Each run has its own high and low questions; the difference resamples all questions at once. Cosine: noise removed,
    as in `corrected_cosine`.
    """
    base, tuned = (
        _Separation(x - x[:1], side, pair.groups) for x, side in zip(pair.states(layer), chosen, strict=True)
    )
    fewer = min(base.rests_on, tuned.rests_on)
    return DirectionChange(
        base=pair.boot.from_weights(base.auroc, SHARE, base.rests_on).item(),
        finetuned=pair.boot.from_weights(tuned.auroc, SHARE, tuned.rests_on).item(),
        difference=pair.boot.from_weights(lambda w: tuned.auroc(w) - base.auroc(w), GAP, fewer).item(),
        cosine=corrected_cosine(base.labelled(), tuned.labelled(), pair.boot),
    )


class _Separation:
    """States [question, hidden] of one run with its high and low questions."""

    def __init__(self, x: Floats, chosen: Extremes, groups: NDArray[np.str_]) -> None:
        self.x, self.chosen, self.groups = x, chosen, groups[chosen.rows]
        self._scores = held_out_projections(x[chosen.rows], chosen.high[:, None], chosen.fold)[:, 0]

    @property
    def rests_on(self) -> int:
        """Groups of questions of high or of low confidence, whichever are fewer."""
        return min(len(np.unique(self.groups[side])) for side in (self.chosen.high, ~self.chosen.high))

    def auroc(self, weights: Floats) -> Floats:
        """[resample] of all questions' weights [resample, question]."""
        return aurocs(self._scores, self.chosen.high, weights[:, self.chosen.rows], self.chosen.fold)

    def labelled(self) -> Labelled:
        high, low = np.zeros(len(self.x)), np.zeros(len(self.x))
        high[self.chosen.rows[self.chosen.high]] = 1
        low[self.chosen.rows[~self.chosen.high]] = 1
        return Labelled(self.x, high, low)


def likeness_change(first: Pair, second: Pair, common: pd.Index, boot: GroupBootstrap, layer: int) -> Changed:
    """Likeness of two passes in each run, and its paired difference: the cosine of the two passes' states of a question
    minus their pass's mean, averaged over the `common` questions, which boot resamples."""
    places = [pair.rows[0].index.get_indexer(common) for pair in (first, second)]
    cosines = []
    for run in range(2):
        x, y = (pair.states(layer)[run][rows] for pair, rows in zip((first, second), places, strict=True))
        cosines.append(row_cosines(centered(x - x[:1]), centered(y - y[:1])))
    base, tuned = cosines
    return Changed(mean_estimate(base, boot), mean_estimate(tuned, boot), mean_estimate(tuned - base, boot))
