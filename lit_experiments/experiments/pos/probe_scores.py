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
from lit_experiments.statistics.bootstrap import ratio_of_sums
from lit_experiments.statistics.intervals import GAP, SHARE

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
    boot, right = real.predictions.bootstraps["test"], _type_is_right(labelled, real)
    base = boot.sums(np.stack([right, np.ones_like(right)], 1))
    task, other = real.predictions.layer_terms, control.predictions.layer_terms
    sums = np.concatenate([task[..., 1:], other[..., 1:], np.broadcast_to(base[:, None], task[..., 1:].shape)], -1)
    estimates = {
        "control_accuracy": boot.from_sums(sums[..., 2:4], ratio_of_sums, SHARE),
        "selectivity": boot.from_sums(sums[..., :4], _difference, GAP),
        "above_baseline": boot.from_sums(sums[..., [0, 1, 4, 5]], _difference, GAP),
    }
    return [
        TagLayer(**vars(layer), **{name: values[number] for name, values in estimates.items()})
        for number, layer in enumerate(by_layer)
    ]


def baseline(labelled: Labelled, real: Fitted) -> Baseline:
    """The commonest training tag of the word's type on the test part."""
    rows = real.predictions.rows[real.predictions.test]
    accuracy = real.predictions.bootstraps["test"].mean(_type_is_right(labelled, real), SHARE).item()
    return Baseline(accuracy, float(1 - labelled.types.seen(labelled.forms[rows]).mean()))


def _type_is_right(labelled: Labelled, real: Fitted) -> Floats:
    """[test word] 1 where the type's commonest training tag is right, else 0."""
    rows = real.predictions.rows[real.predictions.test]
    return (labelled.types.commonest(labelled.forms[rows]) == labelled.codes[rows]).astype(np.float64)


def _difference(sums: Floats) -> Floats:
    return ratio_of_sums(sums[..., :2]) - ratio_of_sums(sums[..., 2:])
