"""What the fitted probes of the part of speech get right, layer by layer, next to a control task and to word types.

Does not know: stores' formats, files, how a probe is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.probe_result import Baseline, TagLayer
from lit_experiments.experiments.pos.probe_split import Split
from lit_experiments.experiments.pos.types import TypeTable
from lit_experiments.experiments.pos.words import Words
from lit_experiments.probes.class_evaluate import ClassPredictions
from lit_experiments.probes.class_result import ClassLayer
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.statistics.bootstrap import GAP, SHARE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """The words with how they are split and what they are labelled with; codes: [line], NaN where training lacks the
    tag. With the control's classes and codes the same of the control task."""

    words: Words
    split: Split
    classes: list[str]
    codes: Floats

    @property
    def forms(self) -> NDArray[np.str_]:
        """[line]"""
        return self.words.table["form"].to_numpy(str)[self.split.lines]

    @property
    def trained(self) -> NDArray[np.bool_]:
        """[line] whether the word is fitted to."""
        return ~self.split.test & ~np.isnan(self.codes)

    @cached_property
    def types(self) -> TypeTable:
        """The tags of each type in the training part."""
        train = self.trained
        return TypeTable.of(self.forms[train], self.codes[train].astype(np.int64), len(self.classes))


@dataclass(frozen=True)
class Fitted:
    """The fits of the real tags, or of the control's, and what they predict."""

    data: StoreDataModule
    solution: ClassSolution
    predictions: ClassPredictions


def layer_scores(labelled: Labelled, real: Fitted, control: Fitted, by_layer: list[ClassLayer]) -> list[TagLayer]:
    """Per layer: accuracy on the test part, of the control task, and their differences to it and the baseline."""
    boot, base = real.predictions.bootstraps["test"], _baseline_sums(labelled, real)
    task, other = real.predictions.layer_terms, control.predictions.layer_terms
    sums = np.concatenate([task[..., 1:], other[..., 1:], np.broadcast_to(base[:, None], task[..., 1:].shape)], -1)
    estimates = {
        "control_accuracy": boot.from_sums(sums[..., 2:4], _share, SHARE),
        "selectivity": boot.from_sums(sums[..., :4], _difference, GAP),
        "above_baseline": boot.from_sums(sums[..., [0, 1, 4, 5]], _difference, GAP),
    }
    return [
        TagLayer(**vars(layer), **{name: values[number] for name, values in estimates.items()})
        for number, layer in enumerate(by_layer)
    ]


def baseline(labelled: Labelled, real: Fitted) -> Baseline:
    boot, rows = real.predictions.bootstraps["test"], real.predictions.rows[real.predictions.test]
    accuracy = boot.from_sums(_baseline_sums(labelled, real), _share, SHARE).item()
    return Baseline(accuracy, float(1 - labelled.types.seen(labelled.forms[rows]).mean()))


def _baseline_sums(labelled: Labelled, real: Fitted) -> Floats:
    """[unit, 2] test words whose type's commonest training tag is right, and all."""
    rows = real.predictions.rows[real.predictions.test]
    right = (labelled.types.commonest(labelled.forms[rows]) == labelled.codes[rows]).astype(np.float64)
    return real.predictions.bootstraps["test"].sums(np.stack([right, np.ones_like(right)], 1))


def _share(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _difference(sums: Floats) -> Floats:
    return _share(sums[..., :2]) - _share(sums[..., 2:])
