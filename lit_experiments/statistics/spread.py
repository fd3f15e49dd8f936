"""How far a few vectors lie apart, and in how many directions.

With fewer vectors than dimensions the covariance is never formed: its trace and that of its square follow from the
inner products of the centred vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Spread:
    """Of n vectors: their total variance, their mean squared length, and the directions that the variance fills.

    variance: trace of the covariance (ddof 1), NaN for fewer than two vectors. normalised: variance / mean_square.
    dimension: participation ratio (sum of eigenvalues)**2 / sum of squared eigenvalues of the covariance, between 1 and
    n - 1; NaN where there is no variance. Of n draws from a distribution it is a lower bound of the distribution's own.
    """

    variance: float
    mean_square: float
    dimension: float
    n: int

    @property
    def normalised(self) -> float:
        return self.variance / self.mean_square if self.mean_square > 0 else np.nan


def spread(vectors: ArrayLike) -> Spread:
    """The spread of `vectors` [n, hidden]."""
    rows = np.asarray(vectors, np.float64)
    n = len(rows)
    if n == 0:
        return Spread(np.nan, np.nan, np.nan, 0)
    mean_square = float((rows**2).sum(1).mean())
    if n == 1:
        return Spread(np.nan, mean_square, np.nan, 1)
    # Centred on the first before the mean: equal vectors then differ from their mean by exactly 0.
    shifted = rows - rows[0]
    centred = shifted - shifted.mean(0)
    inner = centred @ centred.T
    total = float(np.trace(inner))
    dimension = total**2 / float((inner**2).sum()) if total > 0 else np.nan
    return Spread(total / (n - 1), mean_square, dimension, n)
