"""How alike two sets of vectors of the same rows are: cosine by row, linear CKA, principal angles of subspaces."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles

Floats = NDArray[np.float64]


def row_cosines(a: ArrayLike, b: ArrayLike) -> Floats:
    """Cosine of each pair of rows; a, b: [row, dim] -> [row]; NaN where a vector is zero."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(x * y, -1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1))


def linear_cka(a: ArrayLike, b: ArrayLike) -> float:
    """Linear centered kernel alignment (Kornblith, Norouzi, Lee and Hinton 2019, equation 4 with linear kernels).

    a: [row, p], b: [row, q], the same rows. 1 for the same geometry up to rotation and scale; NaN without spread.
    Computed from whichever is smaller, the features' or the rows' products.
    """
    x, y = (v - v.mean(0) for v in (np.asarray(a, np.float64), np.asarray(b, np.float64)))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} rows next to {len(y)}; CKA compares the same rows")
    if len(x) < max(x.shape[1], y.shape[1]):
        k, m = x @ x.T, y @ y.T
        cross, own = float(np.sum(k * m)), math.sqrt(float(np.sum(k * k)) * float(np.sum(m * m)))
    else:
        cross = float(np.sum((x.T @ y) ** 2))
        own = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return cross / own if own else math.nan


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
