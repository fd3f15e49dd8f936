"""p-values from permutations: of a value among those that the same statistic takes where the null hypothesis holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
_ROUNDING = 1e-9  # of the value: equal sums in another order differ by less, and count as equal


def permutation_p(value: ArrayLike, null: ArrayLike, two_sided: bool = False) -> Floats:
    """[*batch] (1 + permutations with at least the value) / (1 + permutations) (Phipson and Smyth 2010).

    value: [*batch]; null: [permutation, *batch], of which NaN count as not done. two_sided: sizes are compared. NaN
    where the value is NaN or there are no permutations.
    """
    observed, values = np.asarray(value, np.float64), np.asarray(null, np.float64)
    if two_sided:
        observed, values = np.abs(observed), np.abs(values)
    count = np.isfinite(values).sum(0)
    reached = (values >= observed - _ROUNDING * np.abs(observed)).sum(0)
    return np.where(np.isnan(observed) | (count == 0), np.nan, (1 + reached) / (1 + count))


def permuted(values: ArrayLike, permutations: int, rng: np.random.Generator) -> Floats:
    """[permutation, row] the values [row], each time in another order."""
    return rng.permuted(np.tile(np.asarray(values, np.float64), (permutations, 1)), axis=1)


def spearman_null(a: ArrayLike, b: ArrayLike, permutations: int, seed: int) -> tuple[float, Floats]:
    """Rank correlation of a [row] and b [row], and [permutation] those with the rows of a permuted, which are the same
    permutations for as many rows and one seed; NaN without spread or for values that are not finite."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.ptp(x) > 0 and np.ptp(y) > 0):
        return float("nan"), np.full(permutations, np.nan)
    ranks, others = (rankdata(v) - (len(x) + 1) / 2 for v in (x, y))
    others = others / np.sqrt((ranks @ ranks) * (others @ others))
    return float(ranks @ others), permuted(ranks, permutations, np.random.default_rng(seed)) @ others


def spearman_p(a: ArrayLike, b: ArrayLike, permutations: int, seed: int) -> float:
    """One-sided p of a positive rank correlation, as in `spearman_null`."""
    return float(permutation_p(*spearman_null(a, b, permutations, seed)))


def sign_flip_null(
    differences: ArrayLike, flips: int, seed: int, groups: ArrayLike | None = None
) -> tuple[float, Floats]:
    """Mean of the differences [row], and [flip] means with random signs, the same for the same groups and one seed.

    groups: [row] names of rows that depend on each other, as copies of a text do, and have one sign; None takes every
    row for itself.
    """
    values = np.asarray(differences, np.float64)
    sums = values if groups is None else _sums(values, np.asarray(groups))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (flips, len(sums)))
    return float(values.sum() / len(values)), signs @ sums / len(values)


def sign_flip_p(differences: ArrayLike, flips: int, seed: int, groups: ArrayLike | None = None) -> float:
    """Two-sided p that the mean of the differences [row] is 0, were the signs of groups exchangeable."""
    return float(permutation_p(*sign_flip_null(differences, flips, seed, groups), two_sided=True))


def _sums(values: Floats, groups: NDArray[np.generic]) -> Floats:
    """[group] sums, in the order in which the groups come."""
    _, first, code = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(np.bincount(code, values)[np.argsort(first)], np.float64)
