"""What a probe would seem to tell if rows were split one by one, whatever their content: a sign of copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.controls.random_states import ridge_predictions
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split

MOST_ROWS = 4000
"""More rows than this are thinned evenly: the split is a check, not a result."""


def row_part(rows: int, test_fraction: float, folds: int, seed: int) -> Ints:
    """[row] TEST or a training fold, every row on its own."""
    part: Ints = group_split(np.arange(rows), test_fraction, folds, seed)
    return part


def by_row_predictions(x: Floats, columns: Floats, part: Ints, penalties: list[float]) -> dict[str, Floats]:
    """Reader -> [test row, C] predictions from x [row, hidden] and columns [row, C]: the ridge, and the value of the
    nearest training row, which is what a copy gives away."""
    return {
        "ridge": ridge_predictions([x], [columns], part, penalties)[0],
        "nearest": nearest_predictions(x, columns, part),
    }


def nearest_predictions(x: Floats, columns: Floats, part: Ints) -> Floats:
    """[test row, C] the columns of the nearest training row, by Euclidean distance of standardised states."""
    from scipy.spatial.distance import cdist

    test = part == TEST
    scale = x[~test].std(0)
    z = (x - x[~test].mean(0)) / np.where(scale > 0, scale, 1.0)
    return np.asarray(columns[~test][cdist(z[test], z[~test]).argmin(1)])


def thinned(rows: int) -> NDArray[np.int64]:
    """Positions of at most `MOST_ROWS` rows, evenly taken."""
    return np.linspace(0, rows - 1, min(rows, MOST_ROWS)).astype(np.int64)
