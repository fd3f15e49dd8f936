"""What the ridge on log-tempnorm gives. R2, MSE and MAE are of the test part unless they say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.claims import Judged
from lit_experiments.controls.split import SplitSummary
from lit_experiments.probes.result import Scores, TargetResult
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Comparison:
    """One eval length, on the test part; differences are of R2, on the same replicates.

    baselines: R2 of a regression on each number alone. hidden_less: R2 of the hidden vector minus that. exact: scores
    of -(alpha - 1) times the next-token entropy, unfitted; None but at L = 1. with_entropy: R2 of the entropy and what
    a ridge on the hidden vector tells of the rest; beyond_entropy: that minus R2 of the entropy alone.
    """

    baselines: dict[str, Estimate]
    hidden_less: dict[str, Estimate]
    exact: Scores | None
    with_entropy: Estimate
    beyond_entropy: Estimate


@dataclass(frozen=True)
class LengthResult(Comparison, TargetResult):
    """One eval length: the ridge's own scores, and what it is compared with.

    fixed_penalty: the ridge at the fixed penalty.
    starting_point_mean: a ridge on the log of the mean tempnorm of a starting point's continuations; tempnorm_space:
    the same predictions exponentiated, against the means themselves. repeated: test R2 over repeated group splits
    (Nadeau and Bengio 2003). apart: test R2 on starting points without a like context in training, None where all are;
    by_row: where starting points are split one by one, None where no contexts were put together.
    """

    fixed_penalty: TargetResult
    starting_point_mean: TargetResult
    tempnorm_space: Scores
    repeated: Estimate
    apart: Estimate | None
    by_row: Estimate | None


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
    contexts are counted as groups of like ones. split: how they were held out. claims: what is claimed at each length,
    judged; statements: what they could not be compared with. against_single_numbers: the comparison in words. shown:
    shortest and longest eval length, for the figure.
    """

    per_length: dict[str, LengthResult]
    starting_points: int
    contexts: int
    held_out_contexts: int
    split: SplitSummary
    claims: list[Judged]
    statements: list[str]
    against_single_numbers: list[str]
    generations: int
    interval_level: float
    shown: list[PredictedTrue]
