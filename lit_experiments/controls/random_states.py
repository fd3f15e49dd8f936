"""States that no training shaped, and what a probe of them predicts.

Random features stand in for a random-weights twin where no model can be loaded: every token id has a random vector, and
a row is a random nonlinear function of the mean of its tokens' vectors and of its last token's. Does not know: stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.row_ridge import RowTargets, solve_rows

_BLOCK = 256
WEIGHTS, FEATURES = "random weights", "random features"


def random_features(tokens: Sequence[Sequence[int | str]], width: int, seed: int) -> NDArray[np.float32]:
    """[row, width] of rows of tokens."""
    rng = np.random.default_rng(seed)
    names = {name: place for place, name in enumerate(dict.fromkeys(token for row in tokens for token in row))}
    vectors = _normal(rng, 1.0, len(names) + 1, width)
    mixing = _normal(rng, width**-0.5, 2 * width, width).reshape(2, width, width)
    out = np.zeros((len(tokens), width), np.float32)
    for place, row in enumerate(tokens):
        codes = [names[token] for token in row] or [len(names)]
        mean = vectors[codes].sum(0) / np.sqrt(len(codes))
        out[place] = np.tanh(mean @ mixing[0] + vectors[codes[-1]] @ mixing[1])
    return out


def _normal(rng: np.random.Generator, spread: float, rows: int, width: int) -> NDArray[np.float32]:
    """[row, width], drawn a block of rows at a time: float64 numbers of all would be twice as large."""
    out = np.empty((rows, width), np.float32)
    for start in range(0, rows, _BLOCK):
        block = out[start : start + _BLOCK]
        block[:] = rng.normal(0, spread, block.shape)
    return out


def ridge_predictions(
    layers: Iterable[NDArray[np.floating]],
    targets: Sequence[Floats],
    part: Ints,
    penalties: list[float],
) -> list[Floats]:
    """[test row, C] predictions of each target, by ridge at the layer and penalties with its least cross-validated
    error.

    Args:
        layers: [row, hidden] of one layer after another.
        targets: [row, C] columns of each.
        part: [row] TEST or a training fold.
    """
    test = part == TEST
    weight = torch.from_numpy((~test).astype(np.float64))
    y = torch.from_numpy(np.concatenate(targets, 1, dtype=np.float64))
    rows = RowTargets(weight, y, torch.zeros_like(y), torch.from_numpy(part.astype(np.int64)))
    grid, folds = torch.tensor(penalties, dtype=torch.float64), np.unique(part[~test]).tolist()
    ends = np.cumsum([columns.shape[1] for columns in targets])
    places = [slice(int(end) - columns.shape[1], int(end)) for end, columns in zip(ends, targets, strict=True)]
    least, out = np.full(len(targets), np.inf), [np.zeros((0, 0)) for _ in targets]
    for states in layers:
        fit = solve_rows(torch.from_numpy(np.ascontiguousarray(states)), rows, grid, folds)
        errors = fit.cv_mse.mean(0).gather(0, fit.penalty_index[None])[0].numpy()
        better = [t for t, place in enumerate(places) if errors[place].sum() < least[t]]
        centred = states[test] - fit.mean.numpy() if better else states[:0]
        for t in better:
            weights = (fit.coef[places[t]] / fit.scale).numpy()
            least[t], out[t] = errors[places[t]].sum(), centred @ weights.T + fit.y_mean[places[t]].numpy()
    return out
