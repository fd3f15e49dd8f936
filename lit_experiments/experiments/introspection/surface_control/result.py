"""What the comparison of hidden states with surface features finds."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.introspection.probes_result import Pair, QuestionCounts
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Scores:
    """Held-out scores of the states alone, and of surface and states together; and paired differences."""

    hidden: Estimate
    both: Estimate
    hidden_less_surface: Estimate
    both_less_surface: Estimate
    both_less_hidden: Estimate


@dataclass(frozen=True)
class LayerScores(Scores):
    """At one layer."""

    layer: str


@dataclass(frozen=True)
class ChosenScores(Scores):
    """Each at its own layer, chosen in the training part."""

    hidden_layer: str
    both_layer: str


@dataclass(frozen=True)
class SurfacePair(Pair):
    """surface: score of the surface features alone. verdict: of the claim that these states
    tell this target, as the training of the probes judged it."""

    surface: Estimate
    chosen: ChosenScores
    by_layer: list[LayerScores]
    verdict: str


@dataclass(frozen=True)
class SurfaceResult:
    """weights: target -> surface feature -> weight for inputs of unit spread, largest first."""

    layers: list[str]
    questions: QuestionCounts
    interval_level: float
    statements: list[str]
    pairs: list[SurfacePair]
    weights: dict[str, dict[str, float]]
