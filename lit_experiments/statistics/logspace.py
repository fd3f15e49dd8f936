"""Means and variances of quantities known by their logarithms, without overflow or underflow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def log_mean_exp(logs: ArrayLike, axis: int) -> Floats:
    """log of the mean of exp(logs) along `axis`; NaN for no values, -inf if all are -inf."""
    values = np.asarray(logs, np.float64)
    if values.shape[axis] == 0:
        return np.full(np.delete(values.shape, axis), np.nan)
    scaled, top = _scaled(values, axis)
    with np.errstate(divide="ignore"):
        return np.log(scaled.mean(axis)) + np.squeeze(top, axis)


def log_variance_exp(logs: ArrayLike, axis: int, ddof: int) -> Floats:
    """log of the variance of exp(logs) along `axis`; ddof 0: population, 1: sample.

    Var = e^{2 top} * sum (e^{l - top} - mean)^2 / (count - ddof). -inf for equal values; NaN for count <= ddof.
    """
    values = np.asarray(logs, np.float64)
    if values.shape[axis] <= ddof:
        return np.full(np.delete(values.shape, axis), np.nan)
    scaled, top = _scaled(values, axis)
    with np.errstate(divide="ignore"):
        return np.log(scaled.var(axis, ddof=ddof)) + 2 * np.squeeze(top, axis)


def _scaled(logs: Floats, axis: int) -> tuple[Floats, Floats]:
    """exp(logs - top) and top, the largest value (0 where all are -inf, so that no inf - inf arises)."""
    top = logs.max(axis, keepdims=True)
    top = np.where(np.isneginf(top), 0.0, top)
    return np.exp(logs - top), top
