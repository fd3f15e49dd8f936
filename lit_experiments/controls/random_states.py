"""States that no training shaped, and what a probe of them predicts.

Random features stand in for a random-weights twin where no model can be loaded: every token id has a random vector, and
a row is a random nonlinear function of the mean of its tokens' vectors and of its last token's. Does not know: stores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.row_ridge import RowTargets, solve_rows

WEIGHTS, FEATURES = "random weights", "random features"


def random_features(tokens: Sequence[Sequence[int | str]], width: int, seed: int) -> NDArray[np.float32]:
    """[row, 1, width] of rows of tokens."""
    rng = np.random.default_rng(seed)
    names = {name: place for place, name in enumerate(dict.fromkeys(token for row in tokens for token in row))}
    vectors = rng.normal(size=(len(names) + 1, width)).astype(np.float32)
    mixing = rng.normal(0, width**-0.5, (2, width, width)).astype(np.float32)
    out = np.zeros((len(tokens), 1, width), np.float32)
    for place, row in enumerate(tokens):
        codes = [names[token] for token in row] or [len(names)]
        mean = vectors[codes].sum(0) / np.sqrt(len(codes))
        out[place, 0] = np.tanh(mean @ mixing[0] + vectors[codes[-1]] @ mixing[1])
    return out


def ridge_predictions(x: NDArray[np.floating], columns: Floats, part: Ints, penalties: list[float]) -> Floats:
    """[test row, C] predictions by ridge at the layer and penalties with the least cross-validated error.

    Args:
        x: [row, layer, hidden].
        columns: [row, C] targets.
        part: [row] TEST or a training fold.
    """
    test = part == TEST
    weight = torch.from_numpy((~test).astype(np.float64))
    y = torch.from_numpy(np.ascontiguousarray(columns, np.float64))
    rows = RowTargets(weight, y, torch.zeros_like(y), torch.from_numpy(part.astype(np.int64)))
    grid, folds = torch.tensor(penalties, dtype=torch.float64), np.unique(part[~test]).tolist()
    best: tuple[float, Floats] | None = None
    for layer in range(x.shape[1]):
        states = torch.from_numpy(np.ascontiguousarray(x[:, layer], np.float64))
        fit = solve_rows(states, rows, grid, folds)
        error = float(fit.cv_mse.mean(0).gather(0, fit.penalty_index[None]).sum())
        if best is None or error < best[0]:
            weights = (fit.coef / fit.scale).numpy()
            predicted = (states[test].numpy() - fit.mean.numpy()) @ weights.T + fit.y_mean.numpy()
            best = error, predicted
    assert best is not None, "states have at least one layer"
    return best[1]
