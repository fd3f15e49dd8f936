"""A correction for several tests of which only the p-values are known: t-tests, Wilcoxon's. Tests that share their
permutations are corrected by `max_t`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values, same shape (Holm 1979, Scand. J. Statist. 6:65-70).

    Controls the family-wise error under any dependence. A NaN (a test not done) stays NaN and is not counted.
    Raises ValueError for a p-value outside [0, 1].
    """
    p = np.asarray(p_values, np.float64)
    known = ~np.isnan(p)
    values = p[known]
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"p-values lie in [0, 1], found {values[(values < 0) | (values > 1)][0]}")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    out = np.full(p.shape, np.nan)
    out[known] = adjusted
    return out
