"""Fits from features that come by themselves, such as from a model that runs, and are kept nowhere.

The probe goes through the same steps as in a Trainer; the labels, groups and weights of all rows are known beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.streamed import StreamedProbe


class LiveDataModule(BlockDataModule):
    """Rows whose features come later, as float32.

    layers: their names. hidden: size of a vector. y, targets, groups: see `ArrayDataModule`. settings:
    `BlockDataModule`'s arguments.
    """

    def __init__(
        self,
        layers: list[str],
        hidden: int,
        y: ArrayLike,
        targets: list[str],
        groups: Sequence | NDArray | None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.layers, self.hidden, self.real_targets = list(layers), hidden, list(targets)
        values = np.asarray(y, np.float64)
        self._y = values[:, None] if values.ndim == 1 else values
        self.groups = np.arange(len(values)) if groups is None else np.asarray(groups)

    def describe(self) -> None:
        """Of the labels alone."""
        self.order = np.arange(len(self._y))
        self.content = hashlib.sha256(self._y.tobytes()).hexdigest()
        self.fingerprint = {"live": self.content}

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._y[rows]

    def feature_dtype(self) -> np.dtype:
        return np.dtype(np.float32)


class LiveFit:
    """Feeds a probe pass by pass; every pass must bring every training row once (rows that come again are ignored).

    Raises ProbeError for a probe that cannot be fed so.
    """

    def __init__(self, probe: StreamedProbe, data: LiveDataModule, device: torch.device) -> None:
        if not isinstance(probe, StreamedProbe):
            raise ProbeError(
                f"{type(probe).__name__} needs many passes over the same rows. Live training takes ridge, "
                "mean_difference or lda; collect the states to train the others."
            )
        data.setup()
        self.probe, self.data = probe, data
        probe.begin(data, device)
        self._open()

    @property
    def more(self) -> bool:
        """Whether a pass is to come."""
        return not self.probe.done

    @property
    def passes(self) -> int:
        """How many passes there are in all."""
        return len(self.probe.waves) * self.probe.stages

    def update(self, x: NDArray[np.floating], rows: NDArray[np.int64]) -> None:
        """Add x [row, layer, hidden] of all layers, of these row numbers.

        Raises ProbeError for another shape, an unknown row, or a value that is not finite.
        """
        expected = (len(rows), len(self.data.layers), self.data.hidden)
        if x.shape != expected or (len(rows) and not 0 <= rows.min() <= rows.max() < len(self.data.order)):
            raise ProbeError(f"Expected features of shape {expected} and rows below {len(self.data.order)}: {x.shape}.")
        new, first = np.unique(rows, return_index=True)
        fresh = first[~self._seen[new]]
        rows, x = rows[fresh], x[fresh][:, self.probe.current.layers].astype(np.float32, copy=False)
        bad = np.flatnonzero(~np.isfinite(x).all((1, 2)))
        if len(bad):
            raise ProbeError(f"Row {self.data.row_names(rows[bad[:1]])[0]} has a non-finite feature.")
        self._seen[rows] = True
        labels = self.data.without_features(rows)
        with torch.no_grad():
            self.probe.add(Block(-1, x, labels.y, labels.group, labels.fold, rows, labels.weight))

    def end_pass(self) -> None:
        """Close the pass, on every rank at the same time. Raises ProbeError if rows are missing."""
        seen = torch.from_numpy(self._seen.astype(np.int64))
        total = self.probe.summed(seen)
        missing = np.flatnonzero(total.numpy() == 0)
        if len(missing):
            name = self.data.row_names(missing[:1])[0]
            raise ProbeError(f"The pass lacks {len(missing)} of {len(total)} rows, such as {name}. Bring every row.")
        assert self.probe.seen is not None
        self.probe.seen.fill_(1)
        self.probe.end_pass(self.data)
        self._open()

    def _open(self) -> None:
        self._seen = np.zeros(len(self.data.order), np.bool_)
