"""The numbers that decide a claim. Computes none of them; knows no rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Control:
    """What is told without the states. name: surface, embedding or output. model: which was chosen inside the training
    part. gain: of the control together with the states over the control alone, paired. determines: the target follows
    from it (R2 or AUROC above 0.99). definition: the number that a readout of the same output is, where the target is
    one ("expected confidence"); empty otherwise. growth: of the score, at most, with four times the training rows;
    NaN where that was not measured: where the control tells next to nothing, or groups are few."""

    name: str
    model: str
    score: Estimate
    gain: Estimate
    determines: bool
    definition: str = ""
    growth: float = math.nan


@dataclass(frozen=True)
class Twins:
    """Probes of states that no training shaped. kind: "random weights" of the same architecture, or "random features"
    of the tokens, of the same size. scores: of each, at the layer that it chose. best: the highest of them;
    difference: the probe's score minus that one's, paired."""

    kind: str
    scores: list[float]
    best: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Grouping:
    """How rows were held out. by: what groups are. joined: rows that were put together with others for their content.
    twins_by_row: test rows that would have a text like theirs in training, were rows split one by one; neighbours:
    those that have one as it is."""

    by: str
    rows: int
    test_rows: int
    groups: int
    test_groups: int
    largest_group: int
    joined: int
    twins_by_row: int
    neighbours: int


@dataclass(frozen=True)
class Evidence:
    """Everything about one claim, from test rows.

    score_name: r2, auroc or accuracy; chance: that of a prediction that knows nothing of the row. score: at the chosen
    layer. p: one-sided, from permuted test labels; p_corrected: over the targets of the training. shuffled_p: share of
    probes of shuffled labels that do as well, NaN without any. alpha: of the tests. apart: score on test rows without a
    like text in training, None where all of them have none. by_row: score of the same states where rows are split one
    by one, None where no rows were joined. detectable: the smallest distance from chance that would have been seen with
    80 % power. untested: why there are no numbers, as a clause; empty where there are.
    """

    score_name: str
    chance: float
    score: Estimate
    p: float
    p_corrected: float
    shuffled_p: float
    alpha: float
    controls: list[Control]
    twins: Twins | None
    apart: Estimate | None
    by_row: Estimate | None
    grouping: Grouping
    detectable: float
    shuffles: int = 0
    untested: str = ""
