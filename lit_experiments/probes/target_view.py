"""Some of a data set's targets, and how many rows have each. Fits nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError


@dataclass(frozen=True)
class LabelCounts:
    """Rows of the training and the test part that have a target, and rows of either that lack it."""

    train: int
    test: int
    missing: int


def label_counts(data: BlockDataModule) -> dict[str, LabelCounts]:
    """Per real target. Reads the targets once, and no features."""
    data.setup()
    has = np.asarray(~np.isnan(data.target_values(np.arange(len(data.order)))).all(1))
    test = data.fold == TEST
    return {
        name: LabelCounts(int((has[:, t] & ~test).sum()), int((has[:, t] & test).sum()), int((~has[:, t]).sum()))
        for t, name in enumerate(data.real_targets)
    }


def only(data: BlockDataModule, *names: str) -> BlockDataModule:
    """The same rows, split, weights and layers with these real targets and their shuffles.

    Raises ProbeError for a target that is not there.
    """
    data.setup()
    unknown = [name for name in names if name not in data.real_targets]
    if unknown or not names:
        raise ProbeError(f"There is no target {', '.join(unknown) or '(none was named)'} among {data.real_targets}.")
    view = _View(data, [data.real_targets.index(name) for name in names])
    view.setup()
    return view


class _View(BlockDataModule):
    def __init__(self, data: BlockDataModule, places: list[int]) -> None:
        settings = (data.test_fraction, data.folds, data.split_seed, data.block_bytes, data.shuffles, data.shuffle_seed)
        super().__init__(*settings, data.test_groups)
        self.missing_allowed, self.weights, self._data = data.missing_allowed, data.weights, data
        self._columns = [k * len(data.real_targets) + t for k in range(data.shuffles + 1) for t in places]
        self._places = places

    def describe(self) -> None:
        data = self._data
        self.layers, self.hidden, self.groups, self.order = data.layers, data.hidden, data.groups, data.order
        self.real_targets = [data.real_targets[t] for t in self._places]
        self.fingerprint, self.content = data.fingerprint, data.content

    def target_values(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of these targets and their shuffles, as the whole data has them."""
        return self._data.target_values(rows)[..., self._columns]

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        return self._data.read_x(rows)

    def read_layers(self, rows: NDArray[np.int64], layers: list[int]) -> NDArray[np.floating]:
        return self._data.read_layers(rows, layers)

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._data.target_values(rows)[..., self._places]

    def row_names(self, rows: NDArray[np.int64]) -> list:
        return self._data.row_names(rows)
