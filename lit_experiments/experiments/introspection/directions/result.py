"""What the analysis of the directions of confidence finds. L layers, by confidence pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from lit_experiments.experiments.introspection.passes import CentralRange
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class RidgeSeparation:
    """A ridge of confidence on the training rows of each fold's direction: its held-out AUROC, and the cosine of its
    weights to that direction, as mean, lowest and highest over folds."""

    auroc: Estimate
    cosine: float
    cosine_lowest: float
    cosine_highest: float


@dataclass(frozen=True)
class DirectionLayer:
    """auroc, cohens_d: of projections on the direction of the other folds. shuffled: AUROC after permuting labels;
    p: from the same; p_corrected, together: AUROC over layers (max-T). spread: standard deviation of all questions'
    projections, in the units of the states. length: of the difference of means; signal_share: of its square, without
    sampling noise."""

    auroc: Estimate
    cohens_d: Estimate
    shuffled: CentralRange
    p: float
    p_corrected: float
    together: Estimate
    ridge: RidgeSeparation
    spread: float
    length: float
    signal_share: float


@dataclass(frozen=True)
class PassDirections:
    """One confidence pass. high, low: questions; thresholds: of low and of high confidence, percent; layers: [L]."""

    questions: int
    high: int
    low: int
    thresholds: list[float]
    layers: list[DirectionLayer]


@dataclass(frozen=True)
class BetweenPasses:
    """Cosine of the two passes' directions: without sampling noise, and as estimated."""

    cosine: Estimate
    plain_cosine: float


@dataclass(frozen=True)
class Directions:
    """statements: what could not be computed, and why. self_other: [L], None without both passes, empty where they
    share too few questions. vectors: pass -> [L][hidden] unit vectors towards high confidence, NaN where there is no
    direction; written to directions.safetensors, not to JSON."""

    layers: list[str]
    statements: list[str]
    share: float
    interval_level: float
    shuffles: int
    folds: int
    passes: dict[str, PassDirections]
    self_other: list[BetweenPasses] | None
    vectors: dict[str, list[list[float]]] = field(
        default_factory=dict, compare=False, repr=False, metadata={"json": False}
    )
