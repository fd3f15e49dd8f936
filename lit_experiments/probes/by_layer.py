"""Held-out predictions of every layer, each at its own chosen penalty: what layer curves and their comparisons need.

Streams the features once. Keeps [test row, layer, target] numbers, so it is meant for data of some thousand test rows.
Chooses nothing, scores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.solve import Solution

Floats = NDArray[np.float64]


def ridge_by_layer(solution: Solution, data: BlockDataModule) -> Floats:
    """[test row, layer, target] predictions; test rows in the data set's order, shuffled targets last."""
    weights = (solution.coef / solution.scale[:, None, :]).numpy()
    mean, y_mean = solution.mean.numpy(), (solution.y_mean + solution.offset).numpy()
    out = _empty(data, y_mean.shape)
    for rows, x in _test_rows(data):
        for layer in range(len(mean)):
            out[rows, layer] = (x[:, layer] - mean[layer]) @ weights[layer].T + y_mean[layer]
    return out


def classes_by_layer(solution: ClassSolution, data: BlockDataModule) -> Floats:
    """[test row, layer, target, class] log-probabilities; the real target, then its shuffles."""
    weights = (solution.coef / solution.scale[:, None, None, :]).numpy()
    mean, intercept = solution.mean.numpy(), solution.intercept.numpy()
    out = _empty(data, intercept.shape)
    for rows, x in _test_rows(data):
        for layer in range(len(mean)):
            logits = np.einsum("rd,tkd->rtk", x[:, layer] - mean[layer], weights[layer], optimize=True)
            out[rows, layer] = log_softmax(logits + intercept[layer])
    return out


def _empty(data: BlockDataModule, shape: tuple[int, ...]) -> Floats:
    data.setup()
    return np.full((int((data.fold == TEST).sum()), *shape), np.nan)


def _test_rows(data: BlockDataModule) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """(places among the test rows, x [row, layer, hidden] float64) block by block."""
    place = np.cumsum(data.fold == TEST) - 1
    for block in data.blocks():
        test = block.fold == TEST
        yield place[block.rows[test]], block.x[test].astype(np.float64)
