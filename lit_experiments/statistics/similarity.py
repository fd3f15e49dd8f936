"""How alike two sets of vectors of the same rows are: cosine by row, linear CKA, principal angles of subspaces."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles

Floats = NDArray[np.float64]
_CKA_ROWS = 4  # fewer leave the unbiased HSIC undefined


def row_cosines(a: ArrayLike, b: ArrayLike) -> Floats:
    """Cosine of each pair of rows; a, b: [row, dim] -> [row]; NaN where a vector is zero."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(x * y, -1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1))


def linear_cka(a: ArrayLike, b: ArrayLike) -> float:
    """Debiased linear centered kernel alignment (Kornblith, Norouzi, Lee and Hinton 2019), from the unbiased HSIC of
    Song, Smola, Gretton, Bedo and Borgwardt (2012, equation 5), as in Murphy, Zylberberg and Fyshe (2024).

    a: [row, p], b: [row, q], the same rows. 1 for the same geometry up to rotation and scale, about 0 for unrelated
    sets however few rows there are (it may be below 0); NaN without spread or for fewer than 4 rows.
    """
    x, y = (v - v.mean(0) for v in (np.asarray(a, np.float64), np.asarray(b, np.float64)))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} rows next to {len(y)}; CKA compares the same rows")
    if len(x) < _CKA_ROWS:
        return math.nan
    cross, first, second = _hsic(x, y), _hsic(x, x), _hsic(y, y)
    return cross / math.sqrt(first * second) if first > 0 and second > 0 else math.nan


def _hsic(x: Floats, y: Floats) -> float:
    """Unbiased HSIC of linear kernels of centred rows, up to a factor that only depends on the number of rows.

    With K = x x' and M = y y' without their diagonals: tr(K M) + (1'K1)(1'M1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'KM1.
    Centred rows have sums of 0, so that K 1 is minus the diagonal; tr(K M) comes from whichever products are smaller.
    """
    n, k, m = len(x), np.sum(x * x, 1), np.sum(y * y, 1)
    narrow = n >= max(x.shape[1], y.shape[1])
    trace = float(np.sum((x.T @ y) ** 2) if narrow else np.sum((x @ x.T) * (y @ y.T)))
    return trace - float(k @ m) + float(k.sum() * m.sum()) / ((n - 1) * (n - 2)) - 2 / (n - 2) * float(k @ m)


def principal_angles(a: ArrayLike, b: ArrayLike, rank: int) -> Floats:
    """Angles in degrees, smallest first, between the spans of the `rank` leading principal components of two sets.

    a: [row, dim], b: [row', dim]; the rows need not be the same (Bjorck and Golub 1973, by scipy).
    """
    spans = [_leading(np.asarray(v, np.float64), rank) for v in (a, b)]
    return np.sort(np.degrees(subspace_angles(*spans)))


def _leading(rows: Floats, rank: int) -> Floats:
    """[dim, rank] orthonormal."""
    if rank > min(len(rows) - 1, rows.shape[1]):
        raise ValueError(f"{len(rows)} rows of width {rows.shape[1]} do not have {rank} principal components")
    return np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:rank].T
