"""What the layerwise probes are worth: the types of metrics.json, which the analyses of the probes read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lit_experiments.claims import Judged, Twins
from lit_experiments.controls.split import SplitSummary
from lit_experiments.experiments.introspection.passes import MeanRange
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Pair:
    """The states of one pass and what is predicted from them.

    target: "pass.name". score: r2, auroc or accuracy. chance: the score of a prediction that knows nothing of the
    question.
    """

    states: str
    target: str
    score: str
    chance: float


@dataclass(frozen=True)
class QuestionCounts:
    """all: questions that every pass holds; test: held out of these; left_out: questions that some pass lacks."""

    all: int
    test: int
    left_out: int


@dataclass(frozen=True)
class Spread(MeanRange):
    """Mean, lowest and highest score of the probes that were retrained on shuffled targets; NaN without any."""

    @classmethod
    def of(cls, scores: ArrayLike) -> Spread:
        """Of scores [shuffle]."""
        known = np.asarray(scores, np.float64)
        return Spread(*(float(f(known)) if known.size else math.nan for f in (np.mean, np.min, np.max)))


@dataclass(frozen=True)
class ShuffledScores(Spread):
    """scores: of each shuffle, at the layer that it chose."""

    scores: list[float]


@dataclass(frozen=True)
class LayerScore:
    """One layer's probe. penalty: chosen in the training part. p: one-sided, from permuted test questions; p_corrected:
    corrected over all layers and pairs (max-T). threshold: what a score must exceed for that to be significant."""

    layer: str
    penalty: float
    score: Estimate
    p: float
    p_corrected: float
    threshold: float
    shuffled: Spread


@dataclass(frozen=True)
class ChosenScore(LayerScore):
    """The layer that was chosen in the training part. p_targets: its p corrected over all pairs (max-T). Further
    scores: spearman and mae (in units of the target) of numbers; accuracy and log_loss (nats) of classes."""

    index: int
    p_targets: float
    spearman: Estimate | None = None
    mae: Estimate | None = None
    accuracy: Estimate | None = None
    log_loss: Estimate | None = None


@dataclass(frozen=True)
class ControlScore:
    """What is told without the states; with what these tell of the rest at `layer`; and the gain, paired.

    model: which was chosen in the training part. weights: [feature, column of the target] of a ridge on the features,
    for inputs of unit spread; empty where there is none. definition: the readout of the pass's output that the target
    is, so that nothing can be beyond it; empty otherwise. growth: of the score, at most, with four times the training
    rows; NaN where that was not measured.
    """

    features: list[str]
    weights: list[list[float]]
    score: Estimate
    with_hidden: Estimate
    gain: Estimate
    layer: str
    model: str
    definition: str
    growth: float


@dataclass(frozen=True)
class TwinScore:
    """The random-weights twin, probed alike. difference: the model's score minus the twin's, each at its own layer."""

    layer: str
    score: Estimate
    difference: Estimate
    by_layer: list[Estimate]


@dataclass(frozen=True)
class Controls:
    """What the scores of a pair are compared with; None where there is no such control."""

    shuffled: ShuffledScores
    surface: ControlScore | None = None
    confidence: ControlScore | None = None
    twin: TwinScore | None = None
    twins: Twins | None = None


@dataclass(frozen=True)
class ProbedPair(Pair):
    """classes: empty for numbers. test_questions: with a value of the target. linear_layer: chosen for the ridge on the
    states (of classes: on their 0 and 1); linear: its score. apart: the score on test questions without a like text in
    training, None where all of them have none."""

    classes: list[str]
    test_questions: int
    layers: list[LayerScore]
    linear_layer: str
    linear: float
    apart: Estimate | None
    chosen: ChosenScore
    controls: Controls


@dataclass(frozen=True)
class ProbesResult:
    """alpha: family-wise error of `LayerScore.threshold`, over all layers and pairs. position: answer, or -k for the
    k-th stored token from the end. statements: what could not be probed, and why. split: the groups of questions
    that no part shares. claims: one per pair."""

    questions: QuestionCounts
    layers: list[str]
    pairs: list[ProbedPair]
    interval_level: float
    alpha: float
    twin: bool
    statements: list[str]
    position: str
    shuffles: int
    permutations: int
    folds: int
    split: SplitSummary
    claims: list[Judged]


def verdict_words(result: ProbesResult) -> dict[tuple[str, str], str]:
    """(states, target) -> the verdict on the claim that these states tell this target."""
    return {(item.claim.states, item.claim.target): item.verdict.word for item in result.claims}
