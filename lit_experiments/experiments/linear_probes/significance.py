"""What the scores of all targets are as tests of one family. Knows no verdicts; permutes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lit_experiments.controls.labels import Floats
from lit_experiments.experiments.linear_probes.evaluation import Evaluation
from lit_experiments.statistics.max_t import Family
from lit_experiments.statistics.permutation import permutation_p


@dataclass(frozen=True, eq=False)
class Corrected:
    """One-sided p-values of one target. alone: of the chosen layer of the chosen field, by itself; chosen: the same,
    corrected over the chosen layers of all targets; layers [field][layer]: corrected over all layers, fields and
    targets."""

    alone: float
    chosen: float
    layers: list[Floats]


def corrected(evaluations: Sequence[Evaluation]) -> list[Corrected]:
    """For each target; their permutations are the same."""
    if not evaluations:
        return []
    values = [np.array([evaluation.score.value]) for evaluation in evaluations]
    nulls = [evaluation.null[:, None] for evaluation in evaluations]
    over_targets = Family.joined(values, nulls).adjusted()
    by_curve = [value for evaluation in evaluations for value in evaluation.values]
    over_all = Family.joined(by_curve, [null for evaluation in evaluations for null in evaluation.nulls]).adjusted()
    curves = iter(np.split(over_all, np.cumsum([len(value) for value in by_curve])[:-1]))
    return [
        Corrected(
            float(permutation_p(value[0], null[:, 0])), float(p), [next(curves) for _ in range(len(evaluation.values))]
        )
        for evaluation, value, null, p in zip(evaluations, values, nulls, over_targets, strict=True)
    ]
