"""Arrays in memory as data for probes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError


class ArrayDataModule(BlockDataModule):
    """Arrays in memory.

    x: [row, hidden] or [row, layer, hidden]; y: [row], [row, target] or [row, repetition, target]; groups: [row] or
    None for every row on its own; layers, targets: names, or None for numbers. The other arguments are
    `BlockDataModule`'s.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        groups: Sequence | NDArray | None,
        *,
        test_fraction: float,
        folds: int,
        split_seed: int,
        block_bytes: int,
        shuffles: int,
        shuffle_seed: int,
        layers: list[str] | None = None,
        targets: list[str] | None = None,
    ) -> None:
        super().__init__(test_fraction, folds, split_seed, block_bytes, shuffles, shuffle_seed)
        features, y = np.asarray(x), np.asarray(y, np.float64)
        self._x = features[:, None, :] if features.ndim == 2 else features
        self._y = y[:, None] if y.ndim == 1 else y
        self._groups, self._layers, self._target_names = groups, layers, targets
        if len(self._x) != len(self._y) or (groups is not None and len(groups) != len(self._x)):
            count = len(self._x) if groups is None else len(groups)
            raise ProbeError(f"x has {len(self._x)} rows, y {len(self._y)}, groups {count}; they must agree.")

    def describe(self) -> None:
        rows, layers, self.hidden = self._x.shape
        self.layers = self._layers or [str(i) for i in range(layers)]
        self.real_targets = self._target_names or [str(t) for t in range(self._y.shape[-1])]
        self.groups = np.arange(rows) if self._groups is None else np.asarray(self._groups)
        self.order = np.arange(rows)
        digest = hashlib.sha256(np.ascontiguousarray(self._x).tobytes() + np.ascontiguousarray(self._y).tobytes())
        self.content = digest.hexdigest()
        self.fingerprint = {"arrays": self.content}

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        return self._x[rows]

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._y[rows]

    def read_layers(self, rows: NDArray[np.int64], layers: list[int]) -> NDArray[np.floating]:
        return self._x[rows[:, None], np.asarray(layers)]
