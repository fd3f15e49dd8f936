"""The last pass: class probabilities of the chosen fits, and what each layer gets right. Chooses nothing.

Features are streamed; kept are labels and probabilities per row, and sums per resampled unit for the layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.probes.class_rows import class_codes
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.statistics import GroupBootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassPredictions:
    """What the pass leaves, for rows with a label.

    rows [row]: their numbers in the data set. test [row]; group [row]; true [row] class codes; probability [row, K] of
    the chosen layer and penalty. layer_terms [unit, L, 3] of the test part: log-loss, right answers and rows, summed
    over the units of the test bootstrap. shuffled [S, 3] the same sums for each shuffle's own layer and labels.
    """

    classes: tuple[str, ...]
    layers: list[str]
    rows: NDArray[np.int64]
    test: NDArray[np.bool_]
    group: NDArray[np.int64]
    true: NDArray[np.int64]
    probability: Floats
    layer_terms: Floats
    shuffled: Floats
    bootstraps: dict[str, GroupBootstrap]

    def part(self, name: str) -> tuple[NDArray[np.int64], Floats, GroupBootstrap]:
        """true, probability and the bootstrap over groups of the "train" or "test" part."""
        rows = self.test if name == "test" else ~self.test
        return self.true[rows], self.probability[rows], self.bootstraps[name]


def predict_classes(
    solution: ClassSolution, data: BlockDataModule, resamples: int, level: float, seed: int
) -> ClassPredictions:
    """Run over all rows once. resamples, level, seed: of the bootstrap over groups (see GroupBootstrap)."""
    data.setup()
    run = _Pass(solution, data)
    for block in data.blocks():
        run.add(block)
    rows = np.flatnonzero(run.true >= 0)
    test, group = data.fold[rows] == TEST, data.group[rows]
    bootstraps = {
        name: GroupBootstrap(group[part], resamples=resamples, level=level, seed=seed)
        for name, part in (("train", ~test), ("test", test))
    }
    boot, on_test = bootstraps["test"], rows[test]
    loss, right = run.loss[on_test], run.right[on_test]
    terms = boot.sums(np.stack([loss, right, np.ones_like(loss)], -1))
    about = (solution.classes, data.layers, rows, test, group)
    return ClassPredictions(*about, run.true[rows], run.probability[rows], terms, run.shuffled, bootstraps)


class _Pass:
    """Accumulates predictions block by block."""

    def __init__(self, solution: ClassSolution, data: BlockDataModule) -> None:
        rows = len(data.order)
        self.solution, self.data = solution, data
        self.weights = (solution.coef / solution.scale[:, None, None, :]).numpy()
        self.mean, self.intercept = solution.mean.numpy(), solution.intercept.numpy()
        self.chosen = solution.layer_index.tolist()
        self.true = np.full(rows, -1)
        self.probability = np.full((rows, len(solution.classes)), np.nan)
        self.loss = np.zeros((rows, len(data.layers)), np.float32)
        self.right = np.zeros((rows, len(data.layers)), np.bool_)
        self.shuffled = np.zeros((len(data.targets) - 1, 3))

    def add(self, block: Block) -> None:
        codes, labelled = class_codes(block, list(self.solution.classes), self.data)
        at = np.flatnonzero(labelled)
        rows, codes, test = block.rows[at], codes[at], block.fold[at] == TEST
        self.true[rows] = codes[:, 0]
        for layer in range(len(self.mean)):
            every = layer == self.chosen[0]
            some = np.arange(len(at)) if every else np.flatnonzero(test)
            log_probability = self._log_probability(block.x[at[some], layer], layer, 0)
            self.loss[rows[some], layer] = -log_probability[np.arange(len(some)), codes[some, 0]]
            self.right[rows[some], layer] = log_probability.argmax(1) == codes[some, 0]
            if every:
                self.probability[rows] = np.exp(log_probability)
        self._shuffled(block.x[at[test]], codes[test])

    def _shuffled(self, x: NDArray, codes: NDArray[np.int64]) -> None:
        for shuffle, layer in enumerate(self.chosen[1:]):
            y = codes[:, shuffle + 1]
            log_probability = self._log_probability(x[:, layer], layer, shuffle + 1)
            self.shuffled[shuffle] += (
                -log_probability[np.arange(len(y)), y].sum(),
                (log_probability.argmax(1) == y).sum(),
                len(y),
            )

    def _log_probability(self, x: NDArray, layer: int, target: int) -> Floats:
        z = x.astype(np.float64) - self.mean[layer]
        return log_softmax(z @ self.weights[layer, target].T + self.intercept[layer, target])
