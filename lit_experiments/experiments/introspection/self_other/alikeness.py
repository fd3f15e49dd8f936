"""How alike the states of two passes are for the same questions, next to what unrelated questions would give.

Pure functions on arrays; Q questions, D hidden. Without such controls the numbers say little: states of one model share
a large mean, and linear CKA of fewer rows than dims is high for any two sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.self_other.result import Alikeness
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.similarity import linear_cka, principal_angles, row_cosines

Floats = NDArray[np.float64]


def alikeness(x: Floats, y: Floats, boot: GroupBootstrap, rank: int, shuffles: int, seed: int) -> Alikeness:
    """Cosine by question, linear CKA and principal angles of two passes; x, y: [Q, D], the same questions."""
    rng = np.random.default_rng(seed)
    # Relative to their first row, states that are all the same are exactly 0, and not what rounding leaves of a mean.
    moved_x, moved_y = x - x[:1], y - y[:1]
    orders = [_moved(len(x), rng) for _ in range(shuffles)]
    centered_x, centered_y = centered(moved_x), centered(moved_y)
    angles, halves, within = _angles(moved_x, moved_y, rank, rng)
    return Alikeness(
        cosine=mean_estimate(row_cosines(x, y), boot),
        cosine_shuffled=_unrelated_cosine(x, y, orders),
        cosine_centered=mean_estimate(row_cosines(centered_x, centered_y), boot),
        cosine_centered_shuffled=_unrelated_cosine(centered_x, centered_y, orders),
        cka=linear_cka(moved_x, moved_y),
        cka_shuffled=float(np.mean([linear_cka(moved_x, moved_y[order]) for order in orders])),
        angles=angles,
        angle_halves=halves,
        angle_within=within,
    )


def _unrelated_cosine(x: Floats, y: Floats, orders: list[NDArray[np.int64]]) -> float:
    return float(np.mean([row_cosines(x, y[order]).mean() for order in orders]))


def centered(rows: Floats) -> Floats:
    """Rows minus their mean."""
    return rows - rows.mean(0)


def _moved(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order in which no row keeps its place: a random cycle."""
    cycle = rng.permutation(n)
    out = np.empty(n, np.int64)
    out[cycle] = np.roll(cycle, 1)
    return out


def mean_estimate(values: Floats, boot: GroupBootstrap) -> Estimate:
    """Mean over questions; undefined if any question's value is."""
    estimate: Estimate = boot.ratio(values, np.ones_like(values)).item()
    return estimate


def _angles(x: Floats, y: Floats, rank: int, rng: np.random.Generator) -> tuple[list[float], float, float]:
    """(of all questions; mean of x on one half and y on the other; mean of x on both halves)."""
    order = rng.permutation(len(x))
    first, second = order[: len(x) // 2], order[len(x) // 2 :]
    halves, within = (float(np.mean(_angles_of(x[first], other[second], rank))) for other in (y, x))
    return _angles_of(x, y, rank).tolist(), halves, within


def _angles_of(a: Floats, b: Floats, rank: int) -> Floats:
    """[rank] degrees; NaN where one of the sets does not span so many dims."""
    if not (_spans(a, rank) and _spans(b, rank)):
        return np.full(rank, np.nan)
    return principal_angles(a, b, rank)


def _spans(rows: Floats, rank: int) -> bool:
    """Whether there are `rank` principal components with any variance."""
    if min(len(rows) - 1, rows.shape[1]) < rank:
        return False
    z = centered(rows)
    variances = np.linalg.eigvalsh(z @ z.T if len(z) < z.shape[1] else z.T @ z)
    return bool(variances[-rank] > 1e-12 * variances[-1])
