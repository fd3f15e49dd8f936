"""What the study of emergence over layers finds."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.introspection.probes_result import Pair, QuestionCounts
from lit_experiments.statistics import LEVEL, Estimate
from lit_experiments.statistics.power import detectable_score


@dataclass(frozen=True)
class CurvePoint:
    """One layer. control_low, control_high: the interval's quantiles of the scores of permuted targets; threshold: what
    the score must exceed to lie above them."""

    layer: str
    score: Estimate
    control_low: float
    control_high: float
    threshold: float


@dataclass(frozen=True)
class Onset:
    """The first layer above its control, by name and by place, with the bounds of its interval over `questions`; None:
    no layer, or, of both bounds, no interval: too few questions, or one that would hold every layer.

    An interval from a layer to itself is one: all resamples have their onset in that layer. none_share: share of the
    resamples in which no layer is above its control.
    """

    layer: str | None
    low: str | None
    high: str | None
    index: int | None
    index_low: int | None
    index_high: int | None
    none_share: float
    questions: int


@dataclass(frozen=True)
class EmergencePair(Pair):
    """curve: over layers, from the front. chosen: the layer that training chose, without test questions."""

    curve: list[CurvePoint]
    onset: Onset
    chosen: str

    @property
    def at_onset(self) -> CurvePoint | None:
        """The layer of the onset."""
        return None if self.onset.index is None else self.curve[self.onset.index]

    @property
    def at_chosen(self) -> CurvePoint:
        """The layer that training chose."""
        return next(point for point in self.curve if point.layer == self.chosen)

    @property
    def detectable(self) -> float:
        """The score that would have exceeded its bound at that layer with 80 % power."""
        point = self.at_chosen
        return detectable_score(point.threshold, point.control_low, point.control_high, LEVEL)


@dataclass(frozen=True)
class Lag:
    """Layers from the onset of entropy in the mcq pass to that of confidence in the self pass.

    undefined_share: of the resamples that leave one of the two without an onset; absent: which of the two there is no
    probe of.
    """

    estimate: Estimate
    undefined_share: float
    absent: list[str]


@dataclass(frozen=True)
class EmergenceResult:
    """alpha: probability that of all curves without any signal one has an onset; permutations: behind each control."""

    layers: list[str]
    questions: QuestionCounts
    pairs: list[EmergencePair]
    alpha: float
    interval_level: float
    permutations: int
    statements: list[str]
    lag: Lag
