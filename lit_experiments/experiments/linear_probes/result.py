"""What the probes of any labels give: the types of result.json. Scores are of test rows unless they say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.claims import Judged, Twins, Verdict
from lit_experiments.controls.split import SplitSummary
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class LayerScore:
    """One layer of one field at its own penalty. loss: cross-validated inside the training part (mean squared error, or
    log-loss in nats), by which it is chosen. p: one-sided, from permuted test labels, corrected over all layers, fields
    and targets (max-T); null_low, null_high: the middle 95 % of these scores at this layer."""

    layer: str
    penalty: float
    loss: float
    score: Estimate
    p: float
    null_low: float
    null_high: float


@dataclass(frozen=True)
class FieldCurve:
    """The layers of one field; chosen: the layer with the smallest loss."""

    field: str
    chosen: str
    layers: list[LayerScore]


@dataclass(frozen=True)
class NumberScores:
    """Of a target that is a number; mae in its own units."""

    r2: Estimate
    spearman: Estimate
    mae: Estimate


@dataclass(frozen=True)
class ClassScores:
    """Of a target with classes. auroc, aupr and recall at 1 % false positives: of the second of two classes, or the
    mean of one against the rest; calibration_error: of the most probable class, root mean square over rows; brier:
    squared error of the probabilities, of the second class, or summed over more; log_loss in nats."""

    auroc: Estimate
    aupr: Estimate
    recall_at_1_percent: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    calibration_error: Estimate
    brier: Estimate
    log_loss: Estimate


@dataclass(frozen=True)
class ControlScore:
    """What is told without states. model: which one was chosen inside the training part, and of what; losses: of each
    candidate there. with_states: the same and what the states tell of the rest, at `layer`; gain: the difference,
    paired. determines: the target follows from it (R2 or AUROC above 0.99), so that nothing can be beyond it. growth:
    of the score, at most, with four times the training rows; NaN where that was not measured."""

    model: str
    losses: dict[str, float]
    score: Estimate
    with_states: Estimate
    gain: Estimate
    layer: str
    determines: bool
    growth: float


@dataclass(frozen=True)
class TwinScore:
    """The same architecture with random weights, probed alike. difference: the model's score minus the twin's."""

    layer: str
    score: Estimate
    difference: Estimate
    by_layer: list[Estimate]


@dataclass(frozen=True)
class Shuffled:
    """Linear probes of labels shuffled between groups: score of each at the layer that it chose, and how many of all
    (with the real one) are at least as good as the linear probe of the real labels."""

    scores: list[float]
    p: float


@dataclass(frozen=True)
class Transfer:
    """The probe on another run's rows of which neither text nor declared group is in this run's training part.
    left_out: rows of which one is. groups: what the intervals resample, made as this run's. score: at the chosen layer;
    by_layer: of the layers that both runs have, of the same width. note: what was left out for its group alone, or why
    there is no score."""

    run: str
    rows: int
    groups: int
    left_out: int
    score: Estimate | None
    by_layer: dict[str, Estimate]
    note: str


@dataclass(frozen=True)
class TargetResult:
    """One target. kind: number or class. score_name: r2 or auroc, which layers and controls are compared by; chance:
    that of a prediction that knows nothing of the row. majority: accuracy of the commonest training class, or NaN.
    p: of the chosen layer, from permuted test labels; p_targets: corrected over targets (max-T). apart: score on test
    rows without a like text in training; by_row: score of the same states where rows are split one by one, None where
    no rows were joined. twins: all of them, or random features where no model can be loaded. detectable: distance from
    chance that would have been seen with 80 % power. Chosen field and layer were chosen inside the training part."""

    target: str
    kind: str
    reason: str
    method: str
    classes: list[str]
    rows: int
    test_rows: int
    test_groups: int
    missing: int
    notes: list[str]
    score_name: str
    chance: float
    majority: float
    field: str
    layer: str
    penalty: float
    score: Estimate
    p: float
    p_targets: float
    apart: Estimate | None
    by_row: Estimate | None
    detectable: float
    numbers: NumberScores | None
    probabilities: ClassScores | None
    curves: list[FieldCurve]
    controls: dict[str, ControlScore]
    shuffled: Shuffled
    twin: TwinScore | None
    twins: Twins | None
    transfer: list[Transfer]
    verdict: Verdict


@dataclass(frozen=True)
class UntestedTarget:
    """A target that these rows cannot be tested for. missing: labels without a value."""

    target: str
    reason: str
    missing: int
    verdict: Verdict


@dataclass(frozen=True)
class LinearProbesResult:
    """All targets. alpha: of the tests behind verdicts. without: controls that there are not, and why. claims: one per
    target, of those first that were tested. untested: the others."""

    targets: list[TargetResult]
    split: SplitSummary
    interval_level: float
    alpha: float
    permutations: int
    folds: int
    without: list[str]
    claims: list[Judged]
    untested: list[UntestedTarget]
