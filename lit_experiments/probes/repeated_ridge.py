"""Test R2 of a ridge on repeated group splits: one pass sums moments by bins of groups, every refit is a matrix solve.

The groups are dealt into bins, a split takes some of them as its test part and chooses the penalty by cross-validation
over folds of the others, so that a score says how the procedure does on this data whichever groups it is trained on.
The layer is the one that the reported split chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.solve import Solution, held_out_mse, solve_layer, standardise
from lit_experiments.probes.splits import group_split
from lit_experiments.probes.waves import MEMORY_BYTES
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.repeated_splits import random_splits, repeated_splits

Floats = NDArray[np.float64]

BINS = 20
LEAST_BINS = 8
"""Of fewer bins there are too few different splits to repeat any."""


def repeated_r2(data: BlockDataModule, solution: Solution, repeats: int, seed: int, level: float) -> list[Estimate]:
    """Per real target, the mean test R2 over the splits with its Nadeau-Bengio interval.

    data: whose groups, test fraction and folds the splits take; solution: whose penalties are chosen from, at each
    target's chosen layer. Without an interval where `LEAST_BINS` bins do not fit into memory, there are fewer groups,
    or repeats is below 2.
    """
    data.setup()
    groups = len(np.unique(data.group))
    tested = min(max(1, round(data.test_fraction * groups)), groups - 1)
    scores = split_r2(data, solution, repeats, seed)
    return [repeated_splits(scores[:, t], groups - tested, tested, level) for t in range(scores.shape[1])]


def split_r2(data: BlockDataModule, solution: Solution, repeats: int, seed: int) -> Floats:
    """[split, T] test R2 of the real targets; no split where there are too few bins."""
    targets = len(data.real_targets)
    bins = _bins(data)
    if repeats < 2 or bins < LEAST_BINS:
        return np.zeros((0, targets))
    bin_of = group_split(data.groups, 0.0, bins, seed)
    splits = random_splits(bins, data.test_fraction, repeats, seed)
    scores = np.full((repeats, targets), np.nan)
    for layer, chosen in _passes(data, solution):
        moments = _moments(data, bin_of, bins, layer, chosen)
        scores[:, chosen] = [_score(moments, test, solution.penalties, max(data.folds, 2)) for test in splits]
    return scores


def _passes(data: BlockDataModule, solution: Solution) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(layer, targets that chose it) of every pass; a target that may lack rows of its own is summed by itself."""
    layer_of = solution.layer_index.numpy()[: len(data.real_targets)]
    for layer in np.unique(layer_of).tolist():
        chosen = np.flatnonzero(layer_of == layer)
        yield from ((layer, targets) for targets in (chosen[:, None] if data.missing_allowed else [chosen]))


def _bins(data: BlockDataModule) -> int:
    size = Moments.bytes_of(1, 1, data.hidden, len(data.real_targets))
    return min(BINS, len(np.unique(data.group)), MEMORY_BYTES // size)


def _moments(
    data: BlockDataModule, bin_of: NDArray[np.int64], bins: int, layer: int, targets: NDArray[np.int64]
) -> Moments:
    """Sums of all rows of one layer, by bin."""
    moments = Moments.zeros(bins, 1, data.hidden, len(targets), torch.device("cpu"))
    data.only_layers([layer])
    for block in data.blocks():
        moments.add(replace(block, y=block.y[..., targets], fold=bin_of[block.rows]))
    data.only_layers(None)
    return moments


def _score(moments: Moments, test: NDArray[np.bool_], penalties: torch.Tensor, folds: int) -> Floats:
    """[T] R2 on the test bins [bin] of a ridge on the others, its penalty chosen by folds of these."""
    inside = np.flatnonzero(~test)
    train = _pooled(moments, [inside[fold::folds].tolist() for fold in range(folds)])
    held_out = _pooled(moments, [np.flatnonzero(test).tolist()])
    coef = solve_layer(train, 0, penalties).coef
    error = held_out_mse(standardise(train, 0, list(range(folds))), coef[None], held_out, 0, 0)[0]
    n = held_out.count[0]
    spread = held_out.yy[0] / n - (held_out.y[0] / n) ** 2
    return np.asarray(torch.where(spread > 1e-12 * held_out.yy[0] / n, 1 - error / spread, torch.nan).numpy())


def _pooled(moments: Moments, parts: list[list[int]]) -> Moments:
    """The sums of each part's bins, as its fold."""
    summed = {
        name: torch.stack([getattr(moments, name)[part].sum(0) for part in parts])
        for name in ("count", "x", "y", "yy", "xy", "xx")
    }
    return Moments(shift=moments.shift, y_shift=moments.y_shift, **summed)
