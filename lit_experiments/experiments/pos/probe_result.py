"""What training the probes of the part of speech finds."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.claims import Judged
from lit_experiments.probes.class_result import ClassControl, ClassLayer, ClassScores
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class TagLayer(ClassLayer):
    """A layer on the test part: control_accuracy of the control task; selectivity: accuracy minus that; above_baseline:
    accuracy minus that of the type's commonest tag."""

    control_accuracy: Estimate
    selectivity: Estimate
    above_baseline: Estimate


@dataclass(frozen=True)
class Baseline:
    """The commonest training tag of the word's type, on the test part. unseen: share of types that training lacks."""

    accuracy: Estimate
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What was fitted to what.

    split: how the parts were made, in words. words, groups, units, documents: by part: how many words, the groups that
    are split and resampled, what these are, how many documents. unlabelled: words whose tag training lacks.
    layer_named: whether the user named the layer.
    """

    classes: list[str]
    excluded_tags: list[str]
    position: str
    split: list[str]
    words: dict[str, int]
    groups: dict[str, str]
    units: dict[str, str]
    documents: dict[str, int]
    documents_from: str
    straddling_documents: list[str]
    unlabelled: int
    layer_named: bool
    folds: int
    interval_level: float


@dataclass(frozen=True, kw_only=True)
class ProbeResult(Fitting):
    """Probes of all layers, and scores of the chosen one.

    layer: the chosen one. test, validation: its scores, None without such a part.
    majority: the training part's class shares in place of a probe. shuffled: tags permuted between groups.
    unconverged: fits that missed the tolerance. cv_left_out: see `ClassResult`. claims: that the chosen layer's states
    tell the tag, judged; statements: what it could not be compared with.
    """

    layer: str
    layers: list[TagLayer]
    baseline: Baseline
    test: ClassScores
    validation: ClassScores | None
    majority: ClassScores
    shuffled: ClassControl
    unconverged: int
    cv_left_out: int
    claims: list[Judged]
    statements: list[str]

    @property
    def chosen(self) -> TagLayer:
        """The chosen layer."""
        return next(layer for layer in self.layers if layer.layer == self.layer)
