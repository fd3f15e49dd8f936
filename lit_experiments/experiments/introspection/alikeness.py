"""How alike the states of two passes are for the same questions, beside what unrelated questions would give.

Pure functions on arrays; Q questions, D hidden. Without such controls the numbers say little: states of one model share
a large mean, and linear CKA of fewer rows than dims is high for any two sets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.similarity import linear_cka, principal_angles, row_cosines

Floats = NDArray[np.float64]


def alikeness(x: Floats, y: Floats, boot: GroupBootstrap, rank: int, shuffles: int, seed: int) -> dict[str, Any]:
    """Cosine by question, linear CKA and principal angles of two passes; x, y: [Q, D], the same questions.

    Returns:
        cosine, cosine_centered (each pass's mean state taken away): Estimates of the mean over questions, and
        the same with `_shuffled`, the mean for pairs of different questions; cka, cka_shuffled: of the same and of
        permuted questions; angles [rank] in degrees, of the leading principal components; angle_halves: the mean
        angle between x of one half of the questions and y of the other; angle_within: between x of both halves.
    """
    rng = np.random.default_rng(seed)
    # About their first row, states that are all the same are exactly 0, and not what rounding leaves of a mean.
    about_x, about_y = x - x[:1], y - y[:1]
    orders = [_moved(len(x), rng) for _ in range(shuffles)]
    out: dict[str, Any] = {}
    for name, a, b in (("cosine", x, y), ("cosine_centered", centered(about_x), centered(about_y))):
        out[name] = mean_estimate(row_cosines(a, b), boot)
        out[f"{name}_shuffled"] = float(np.mean([row_cosines(a, b[order]).mean() for order in orders]))
    out["cka"] = linear_cka(about_x, about_y)
    out["cka_shuffled"] = float(np.mean([linear_cka(about_x, about_y[order]) for order in orders]))
    return out | _angles(about_x, about_y, rank, rng)


def centered(rows: Floats) -> Floats:
    """Rows less their mean."""
    return rows - rows.mean(0)


def _moved(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order in which no row keeps its place: a random cycle."""
    cycle = rng.permutation(n)
    out = np.empty(n, np.int64)
    out[cycle] = np.roll(cycle, 1)
    return out


def mean_estimate(values: Floats, boot: GroupBootstrap) -> Estimate:
    """Mean over questions; undefined if any question's value is."""
    sums = boot.sums(np.stack([values, np.ones_like(values)], -1))
    estimate: Estimate = boot.from_sums(sums, lambda s: s[..., 0] / s[..., 1]).item()
    return estimate


def _angles(x: Floats, y: Floats, rank: int, rng: np.random.Generator) -> dict[str, Any]:
    half = rng.permutation(len(x))
    one, two = half[: len(x) // 2], half[len(x) // 2 :]
    return {
        "angles": _angles_of(x, y, rank),
        "angle_halves": float(np.mean(_angles_of(x[one], y[two], rank))),
        "angle_within": float(np.mean(_angles_of(x[one], x[two], rank))),
    }


def _angles_of(a: Floats, b: Floats, rank: int) -> Floats:
    """[rank] degrees; NaN where one of the sets does not span so many dims."""
    if not (_spans(a, rank) and _spans(b, rank)):
        return np.full(rank, np.nan)
    return principal_angles(a, b, rank)


def _spans(rows: Floats, rank: int) -> bool:
    """Whether there are `rank` principal components with any variance."""
    if min(len(rows) - 1, rows.shape[1]) < rank:
        return False
    about = centered(rows)
    variances = np.linalg.eigvalsh(about @ about.T if len(about) < about.shape[1] else about.T @ about)
    return bool(variances[-rank] > 1e-12 * variances[-1])
