"""Exact ridge on a few hundred rows of one layer, many penalties at once. Knows no store.

The same problem as `probes.solve` (standardised inputs, free intercept), solved through whichever is smaller, the rows'
or the features' products: with fewer rows than hidden dims that is much cheaper than moments of the hidden dims.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ridge:
    """weights [hidden] and intercept in the units of the states; the penalty is that of standardised inputs."""

    weights: Floats
    intercept: float
    penalty: float

    def predict(self, x: Floats) -> Floats:
        """[row] from [row, hidden]."""
        return x @ self.weights + self.intercept


def fit_ridges(x: Floats, y: Floats, penalties: list[float]) -> list[Ridge]:
    """One ridge per penalty: StandardScaler and Ridge of scikit-learn. Dims that do not vary get no weight."""
    mean, scale = x.mean(0), x.std(0)
    live = scale > np.abs(mean) * len(x) * np.finfo(np.float64).eps
    safe = np.where(live, scale, 1.0)
    z = np.where(live, (x - mean) / safe, 0.0)
    about = y - y.mean()
    rows_fewer = len(z) < z.shape[1]
    w, v = np.linalg.eigh(z @ z.T if rows_fewer else z.T @ z)
    target = v.T @ (about if rows_fewer else z.T @ about)
    out = []
    for penalty in penalties:
        found = v @ (target / (np.maximum(w, 0) + penalty))
        weights = np.where(live, (z.T @ found if rows_fewer else found) / safe, 0.0)
        out.append(Ridge(weights, float(y.mean() - mean @ weights), float(penalty)))
    return out


def choose_ridge(x: Floats, y: Floats, fold: Ints, penalties: list[float]) -> Ridge:
    """The ridge on all rows with the penalty of least mean held-out squared error over the folds."""
    if len(penalties) == 1:
        return fit_ridges(x, y, penalties)[0]
    errors = np.zeros(len(penalties))
    for f in np.unique(fold):
        test = fold == f
        fits = fit_ridges(x[~test], y[~test], penalties)
        errors += [float(np.mean((y[test] - fit.predict(x[test])) ** 2)) for fit in fits]
    return fit_ridges(x, y, [penalties[int(errors.argmin())]])[0]
