"""One pass over stored states for many linear maps: what they predict of test rows, and how far rows spread along them.

Streams features; keeps [test row, layer, column] numbers of a map that is wanted at every layer, [row, column] of one
that is wanted at its chosen layer. Scores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats
from lit_experiments.experiments.linear_probes.fitting import LayerMaps
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.data import BlockDataModule


@dataclass(frozen=True, eq=False)
class Read:
    """What a map says. test: [test row, L, C], or None where it was not requested; chosen: [row, C] of all rows at the
    layer with the smallest loss. spread: [L, direction] standard deviation of training rows along its directions."""

    test: Floats | None
    chosen: Floats
    spread: Floats


@dataclass(frozen=True, eq=False)
class ReadoutRequest:
    """A map, and whether it is read at every layer or at its chosen one only."""

    maps: LayerMaps
    every_layer: bool


def directions(maps: LayerMaps) -> Floats:
    """[L, direction, D] unit directions of states along which a map's output grows: of a number, its own; of two
    classes, from the first to the second; of more, from the mean of the others to each."""
    raw = maps.raw
    if raw.shape[1] == 1:
        axes = raw
    elif raw.shape[1] == 2:
        axes = raw[:, 1:] - raw[:, :1]
    else:
        total = raw.sum(1, keepdims=True)
        axes = raw - (total - raw) / (raw.shape[1] - 1)
    length = np.linalg.norm(axes, axis=-1, keepdims=True)
    return np.divide(axes, length, out=np.zeros_like(axes), where=length > 0)


def read_out(data: BlockDataModule, requests: Sequence[ReadoutRequest]) -> list[Read]:
    """What every map says of the rows of a data module that is split."""
    data.setup()
    runs = [_Run(request, data) for request in requests]
    place = np.cumsum(data.fold == TEST) - 1
    for block in data.blocks():
        test = block.fold == TEST
        for layer in range(block.x.shape[1]):
            x = block.x[:, layer].astype(np.float64)
            for run in runs:
                run.add(layer, x, test, place[block.rows], block.rows)
    return [run.read() for run in runs]


class _Run:
    """Accumulates one map's outputs block by block."""

    def __init__(self, request: ReadoutRequest, data: BlockDataModule) -> None:
        maps = request.maps
        self.maps, layers, columns = maps, maps.raw.shape[0], maps.raw.shape[1]
        tested = int((data.fold == TEST).sum())
        self.test = np.full((tested, layers, columns), np.nan) if request.every_layer else None
        self.chosen = np.full((len(data.fold), columns), np.nan)
        self.axes = directions(maps) if request.every_layer else np.zeros((layers, 0, maps.raw.shape[2]))
        self.sums = np.zeros((3, layers, self.axes.shape[1]))

    def add(self, layer: int, x: Floats, test: NDArray[np.bool_], place: NDArray[np.int64], rows: NDArray) -> None:
        here = layer == self.maps.layer
        if self.test is None and not here:
            return
        centred = x - self.maps.mean[layer]
        if here or self.test is not None:
            values = centred @ self.maps.raw[layer].T + self.maps.intercept[layer]
            if here:
                self.chosen[rows] = values
            if self.test is not None:
                self.test[place[test], layer] = values[test]
        if self.axes.shape[1]:
            along = centred[~test] @ self.axes[layer].T
            self.sums[:, layer] += np.stack([np.full(along.shape[1], len(along)), along.sum(0), (along**2).sum(0)])

    def read(self) -> Read:
        count, total, squares = self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = squares / count - (total / count) ** 2
        return Read(self.test, self.chosen, np.sqrt(np.maximum(variance, 0.0)))
