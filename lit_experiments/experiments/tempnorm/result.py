"""What the ridge on log-tempnorm gives. R2, MSE and MAE are of the test part unless they say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.probes.result import Scores, TargetResult
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class LengthResult(TargetResult):
    """One eval length: the ridge's own scores, and what it is compared with.

    baselines ... beyond_entropy: see `single_numbers.Comparison`. fixed_penalty: the ridge at the fixed penalty.
    starting_point_mean: a ridge on the log of the mean tempnorm of a starting point's continuations; tempnorm_space:
    the same predictions exponentiated, against the means themselves.
    """

    baselines: dict[str, Estimate]
    hidden_less: dict[str, Estimate]
    exact: Scores | None
    with_entropy: Estimate
    beyond_entropy: Estimate
    fixed_penalty: TargetResult
    starting_point_mean: TargetResult
    tempnorm_space: Scores


@dataclass(frozen=True)
class PredictedTrue:
    """Held-out starting points at one eval length, nats. predicted: of a starting point; single: the value of one of
    its continuations; mean: over all of them."""

    length: int
    predicted: list[float]
    single: list[float]
    mean: list[float]


@dataclass(frozen=True)
class TempnormResult:
    """Every eval length, by its name.

    starting_points, contexts, held_out_contexts: counts; generations: continuations of a starting point.
    against_single_numbers: the comparison in words. shown: shortest and longest eval length, for the figure.
    """

    per_length: dict[str, LengthResult]
    starting_points: int
    contexts: int
    held_out_contexts: int
    against_single_numbers: list[str]
    generations: int
    interval_level: float
    shown: list[PredictedTrue]
