"""Targets of classes as columns that can be summed: one per class, 1 for the rows that have it. Fits nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.waves import Part

ClassWeight = str | Mapping[str, float] | None
"""What a row's class makes it count: "balanced" (rows / (classes * rows of the class), in the training part), a weight
for every class by name, or nothing."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class ClassLabels:
    """The labels of the targets that are classes, shuffled copies included.

    positions: of these targets in the data. classes: names, of each of them. codes [row, target], -1 for no label.
    weight [row, target]: of the row's class. tables: [class] weights of each target.
    """

    positions: list[int]
    classes: list[list[str]]
    codes: Codes
    weight: Floats
    tables: list[Floats]

    @property
    def table(self) -> Floats:
        """[target, class], where all have as many classes."""
        return np.stack(self.tables)

    @classmethod
    def of(cls, data: BlockDataModule, classes: Mapping[str, list[str]], class_weight: ClassWeight) -> ClassLabels:
        """classes: of the real targets that have some, in the order of their codes.

        Raises ProbeError for names of no target, labels that are no codes, and classes without training rows.
        """
        unknown = sorted(set(classes) - set(data.real_targets))
        if unknown:
            raise ProbeError(f"There is no target {', '.join(unknown)}; there are {', '.join(data.real_targets)}.")
        values = data.target_values(np.arange(len(data.order)))
        if values.shape[1] != 1:
            raise ProbeError(f"A class takes one label per row, found {values.shape[1]} repetitions.")
        real = len(data.real_targets)
        positions = [t for t in range(values.shape[-1]) if data.real_targets[t % real] in classes]
        names = [list(map(str, classes[data.real_targets[t % real]])) for t in positions]
        codes = np.stack([_codes(data, values[:, 0, t], k) for t, k in zip(positions, names, strict=True)], 1)
        weight, tables = np.ones(codes.shape), []
        for column, (position, k) in enumerate(zip(positions, names, strict=True)):
            counts = np.bincount(codes[(data.fold != TEST) & (codes[:, column] >= 0), column], minlength=len(k))
            if position < real:
                _check_counts(data.targets[position], k, counts)
            tables.append(class_weights(k, counts, class_weight))
            weight[:, column] = np.where(codes[:, column] >= 0, tables[-1][codes[:, column]], 0.0)
        return cls(positions, names, codes, weight, tables)

    def parts(self) -> list[Part]:
        """Targets whose rows and weights are the same, together."""
        alike: dict[str, list[int]] = {}
        for column in range(len(self.positions)):
            alike.setdefault(hashlib.sha256(self.weight[:, column].tobytes()).hexdigest(), []).append(column)
        return [self._part(columns) for columns in alike.values()]

    def rows_by_fold(self, data: BlockDataModule, position: int) -> Tensor:
        """[fold] weight of the labelled rows of each fold, as held-out scores count them."""
        column = self.column(position)
        rows = np.flatnonzero((data.fold != TEST) & (self.codes[:, column] >= 0))
        weight = data.row_weights(rows) * self.weight[rows, column]
        return torch.from_numpy(np.bincount(data.fold[rows], weight, max(data.folds, 1)))

    def column(self, position: int) -> int:
        """Where the target at this position of the data lies among these labels."""
        return self.positions.index(position)

    def _part(self, columns: list[int]) -> Part:
        def view(block: Block) -> Block:
            codes = self.codes[block.rows][:, columns]
            marks = [codes[:, i, None] == np.arange(len(self.classes[c])) for i, c in enumerate(columns)]
            y = np.concatenate(marks, 1).astype(np.float64)[:, None]
            y[codes[:, 0] < 0] = np.nan
            return replace(block, y=y, weight=block.weight * self.weight[block.rows, columns[0]])

        return Part([self.positions[c] for c in columns], sum(len(self.classes[c]) for c in columns), view)


def class_weights(names: list[str], counts: NDArray, class_weight: ClassWeight) -> Floats:
    """[class] weights; counts: training rows of each. Raises ProbeError for another word, or other names."""
    if class_weight is None:
        return np.ones(len(names))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ProbeError(f'class_weight must be "balanced" or a weight for each class, found "{class_weight}".')
        return np.asarray(counts.sum() / (len(names) * np.maximum(counts, 1)))
    if set(class_weight) != set(names) or not all(0 < w < float("inf") for w in class_weight.values()):
        raise ProbeError(
            f"class_weight must hold a positive number for each of {', '.join(names)}; found {dict(class_weight)}."
        )
    return np.asarray([class_weight[name] for name in names], np.float64)


def _codes(data: BlockDataModule, labels: Floats, names: list[str]) -> Codes:
    known = ~np.isnan(labels)
    codes = np.where(known, labels, 0.0)
    bad = np.flatnonzero((codes % 1 != 0) | (codes < 0) | (codes >= len(names)))
    if len(bad):
        raise ProbeError(
            f"Row {data.row_names(bad[:1])[0]} has the label {codes[bad[0]]:g}; labels are codes from 0 to "
            f"{len(names) - 1}, the positions of {', '.join(names)} (NaN for a row without label)."
        )
    return np.where(known, codes, -1).astype(np.int64)


def _check_counts(target: str, names: list[str], counts: NDArray) -> None:
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing or len(names) < 2:
        raise ProbeError(
            f"Target {target}: no training row has the class {', '.join(missing) or '(fewer than two are named)'} (of "
            f"{int(counts.sum())} with a label). Leave it out of the classes, or collect more groups."
        )
