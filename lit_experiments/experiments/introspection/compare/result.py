"""What the comparison of base and finetuned finds. L layers; differences are finetuned minus base, paired by
the questions that both runs hold."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.introspection.probes_result import Pair
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Changed:
    """A number of both runs, and its paired difference."""

    base: Estimate
    finetuned: Estimate
    difference: Estimate


@dataclass(frozen=True)
class ScoreChange:
    """A score of the mcq pass. both: where it is of the two runs together, as their agreement; else None."""

    score: str
    base: Estimate | None = None
    finetuned: Estimate | None = None
    difference: Estimate | None = None
    both: Estimate | None = None


@dataclass(frozen=True)
class StateChange:
    """How far finetuning moved the states of one pass and layer: cosine by question, linear CKA, the largest
    difference of any number (0 where nothing changed), mean length of the change over mean length of the state."""

    cosine: Estimate
    cka: float
    largest_difference: float
    relative_change: Estimate


@dataclass(frozen=True)
class DirectionChange(Changed):
    """Held-out AUROC of the direction of confidence in each run; cosine: of the two directions, noise removed."""

    cosine: Estimate


@dataclass(frozen=True)
class ChosenChange(Changed):
    """At each run's own layer, which cross-validation chose there. at: its name in base and in finetuned."""

    at: list[str]


@dataclass(frozen=True)
class ProbeChange(Pair):
    """Test scores of the probes of a target in the states of a pass. layers: [L]; gains: control -> what the hidden
    states add to it."""

    questions: int
    layers: list[Changed]
    chosen: ChosenChange
    gains: dict[str, Changed]


@dataclass(frozen=True)
class RunModel:
    """A run's model and checkpoint; None where its rows do not say."""

    model: str | None
    checkpoint: str | None


@dataclass(frozen=True)
class Runs:
    """The two runs."""

    base: RunModel
    finetuned: RunModel


@dataclass(frozen=True)
class Comparison:
    """statements: what could not be compared, and why. questions: pass -> in both runs. states, directions: pass ->
    [L]. self_other: [L] likeness of the two confidence passes; None where one of them is missing."""

    layers: list[str]
    interval_level: float
    share: float
    statements: list[str]
    runs: Runs
    questions: dict[str, int]
    scores: list[ScoreChange]
    states: dict[str, list[StateChange]]
    directions: dict[str, list[DirectionChange]]
    self_other: list[Changed] | None
    probes: list[ProbeChange]
