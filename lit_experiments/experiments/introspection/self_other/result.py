"""What the comparison of self and other finds. Shapes: L layers, R leading principal components."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Alikeness:
    """Of the same questions' states in two passes, at one layer.

    cosine, cosine_centered: mean over questions, of the states and after subtracting each pass's mean state; with
    `_shuffled` the mean for pairs of different questions. cka, cka_shuffled: linear CKA of the same and of permuted
    questions. angles: [R] degrees between the leading subspaces; angle_halves: mean angle between the first pass on
    one half of the questions and the second pass on the other half; angle_within: of the first pass on both halves.
    """

    cosine: Estimate
    cosine_shuffled: float
    cosine_centered: Estimate
    cosine_centered_shuffled: float
    cka: float
    cka_shuffled: float
    angles: list[float]
    angle_halves: float
    angle_within: float


@dataclass(frozen=True)
class PassPair:
    """Two passes over the questions that both hold; layers: [L]."""

    passes: list[str]
    questions: int
    layers: list[Alikeness]


@dataclass(frozen=True)
class Carried:
    """A ridge trained on one pass and evaluated on the test questions of one, at one layer.

    p: of Spearman above 0, by permuting questions; p_corrected, together: Spearman over layers and pairs of
    passes (max-T). gap_r2, gap_spearman: minus the ridge trained on the evaluated pass itself; None where this is
    that ridge.
    """

    trained: str
    evaluated: str
    penalty: float
    r2: Estimate
    spearman: Estimate
    p: float
    p_corrected: float
    together: Estimate
    gap_r2: Estimate | None = None
    gap_spearman: Estimate | None = None


@dataclass(frozen=True)
class Parts:
    """Questions trained on and tested on."""

    train: int
    test: int


@dataclass(frozen=True)
class Transfer:
    """confidences_spearman: between the two confidences of the test questions; layers: [L] every pair of passes."""

    questions: Parts
    confidences_spearman: Estimate
    layers: list[list[Carried]]


@dataclass(frozen=True)
class SelfOther:
    """statements: what could not be computed, and why; transfer: None where that is one of these."""

    layers: list[str]
    interval_level: float
    rank: int
    statements: list[str]
    pairs: list[PassPair]
    transfer: Transfer | None
