"""The second pass: predictions of the chosen fits, and what each layer gets wrong on the test part. Chooses nothing.

Memory: features are streamed; kept are targets and chosen predictions per row, and sums per resampled unit for the
layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.solve import Solution
from lit_experiments.statistics import GroupBootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """What the pass leaves, for the real targets (T) and the shuffled ones (S, shuffle by shuffle).

    test [row]; group [row]; true [row, repetition, T], NaN where absent; predicted [row, T] with each target's chosen
    layer and penalty; center [T] training means; layer_squared_error [unit, L, T] of the test part, summed over the
    units of `bootstrap`; shuffled [S, 4]: test values, squared error, sum and sum of squares of the targets less
    their training mean.
    """

    targets: list[str]
    layers: list[str]
    test: NDArray[np.bool_]
    group: NDArray[np.int64]
    true: Floats
    predicted: Floats
    center: Floats
    layer_squared_error: Floats
    shuffled: Floats
    bootstraps: dict[str, GroupBootstrap]

    def part(self, name: str) -> tuple[Floats, Floats, GroupBootstrap]:
        """true, predicted and the bootstrap over groups of the "train" or "test" part."""
        rows = self.test if name == "test" else ~self.test
        return self.true[rows], self.predicted[rows], self.bootstraps[name]


def predict(solution: Solution, data: BlockDataModule, resamples: int, level: float, seed: int) -> Predictions:
    """Run over all rows once. resamples, level, seed: of the bootstrap over groups (see GroupBootstrap)."""
    data.setup()
    test = data.fold == TEST
    bootstraps = {
        name: GroupBootstrap(data.group[part], resamples=resamples, level=level, seed=seed)
        for name, part in (("train", ~test), ("test", test))
    }
    run = _Pass(solution, data, bootstraps["test"], test)
    for block in data.blocks():
        run.add(block)
    n = run.n_real
    center = solution.y_mean.numpy()[:n]
    arrays = (run.true, run.predicted, center, run.layer_error, run.shuffled)
    return Predictions(data.real_targets, data.layers, test, data.group, *arrays, bootstraps)


class _Pass:
    """Accumulates predictions block by block."""

    def __init__(self, solution: Solution, data: BlockDataModule, bootstrap: GroupBootstrap, test: NDArray) -> None:
        self.n_real, rows = len(data.real_targets), len(data.order)
        self.solution = solution
        self.weights = (solution.coef / solution.scale[:, None, :]).numpy()
        self.mean, self.y_mean, self.offset = (t.numpy() for t in (solution.mean, solution.y_mean, solution.offset))
        self.chosen = solution.layer_index.numpy()
        self.unit = np.full(rows, -1)
        self.unit[test] = bootstrap.unit_of_row
        self.predicted = np.full((rows, self.n_real), np.nan)
        self.true = np.zeros((rows, 0, self.n_real))
        self.layer_error = np.zeros((bootstrap.units, len(data.layers), self.n_real))
        self.shuffled = np.zeros((len(self.y_mean) - self.n_real, 4))

    def add(self, block: Block) -> None:
        if not self.true.shape[1]:
            self.true = np.full((len(self.true), block.y.shape[1], self.n_real), np.nan)
        self.true[block.rows] = block.y[..., : self.n_real]
        test = block.fold == TEST
        chosen = np.full((len(test), len(self.y_mean)), np.nan)
        for layer in range(len(self.mean)):
            here = np.flatnonzero(self.chosen == layer)
            predicted = self._predictions(layer, block, test, np.arange(len(self.y_mean)))
            chosen[np.ix_(test, here)] = predicted[:, here]
            self._layer(layer, block, np.flatnonzero(test), predicted[:, : self.n_real])
            real = here[here < self.n_real]
            if len(real):
                chosen[np.ix_(~test, real)] = self._predictions(layer, block, ~test, real)
        self.predicted[block.rows] = chosen[:, : self.n_real]
        self._shuffled(block.y[test, :, self.n_real :], chosen[test, self.n_real :])

    def _predictions(self, layer: int, block: Block, rows: NDArray, targets: NDArray) -> Floats:
        """[row, target] predictions of some rows from one layer."""
        z = block.x[rows, layer].astype(np.float64) - self.mean[layer]
        return z @ self.weights[layer, targets].T + (self.y_mean + self.offset[layer])[targets]

    def _layer(self, layer: int, block: Block, rows: NDArray, predicted: Floats) -> None:
        error = np.nansum((block.y[rows, :, : self.n_real] - predicted[:, None, :]) ** 2, axis=1)
        np.add.at(self.layer_error[:, layer], self.unit[block.rows[rows]], error)

    def _shuffled(self, y: Floats, predicted: Floats) -> None:
        about = y - self.y_mean[self.n_real :]
        error = (y - predicted[:, None, :]) ** 2
        for column, terms in enumerate((np.where(np.isnan(y), np.nan, 1.0), error, about, about**2)):
            self.shuffled[:, column] += np.nansum(terms, (0, 1))
