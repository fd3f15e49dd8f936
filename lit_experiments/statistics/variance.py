"""One-way random effects: how much of a variance lies between classes.

That share is the noise ceiling of a predictor that sees only the class. Model: y_ij = mu + a_i + e_ij. Moment
(ANOVA) estimates for classes of unequal size: Searle, Casella & McCulloch (1992), Variance Components, section 3.6; the
share is ICC(1) of Shrout & Fleiss (1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CLASS_TERMS = ("classes", "values", "size squared", "sum", "sum squared / size", "sum of squares")


@dataclass(frozen=True)
class OneWay:
    """between, within: variance components; share = between / (between + within), in [0, 1]; NaN where not defined.

    clipped: the between component came out negative (it can, when classes differ less than chance) and was set to 0.
    """

    between: float
    within: float
    share: float
    clipped: bool


def one_way(values: ArrayLike, classes: ArrayLike) -> OneWay:
    """Components of `values` [row] grouped by `classes` [row]. Needs two classes and one repeated class, else NaN."""
    rows = np.asarray(values, np.float64)
    _, codes = np.unique(np.asarray(classes), return_inverse=True)
    centred = rows - rows.mean() if len(rows) else rows
    size, total, squares = (np.bincount(codes, w) for w in (np.ones_like(centred), centred, centred**2))
    raw, within = components_from_sums(class_terms(size, total, squares).sum(0))
    between = np.maximum(raw, 0.0)
    return OneWay(float(between), float(within), float(_share(between, within)), bool(raw < 0))


def class_terms(size: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Floats:
    """[..., class, 6] what to add up per class, from how many values it has, their sum and sum of squares.

    Centre the values on any constant near their mean first, or the sums cancel. A class without values adds nothing.
    """
    n, s, ss = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (size, total, squares)))
    mean_square = np.divide(s**2, n, out=np.zeros_like(s), where=n > 0)
    return np.stack([(n > 0).astype(np.float64), n, n**2, s, mean_square, ss], axis=-1)


def components_from_sums(sums: Floats) -> tuple[Floats, Floats]:
    """Between (may be negative) and within variance from totals of `class_terms` [..., 6]."""
    k, n, _, s, s2n, ss = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = np.where(n > k, (ss - s2n) / (n - k), np.nan)
        mean_square_between = np.where(k > 1, (s2n - s**2 / n) / (k - 1), np.nan)
        return (mean_square_between - within) / typical_size(sums), within


def typical_size(sums: Floats) -> Floats:
    """Values of a class on average, as they weigh in the between component, from totals of `class_terms` [..., 6]."""
    k, n, n2 = np.moveaxis(np.asarray(sums, np.float64)[..., :3], -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n - n2 / n) / (k - 1))


def share_from_sums(sums: Floats) -> Floats:
    """The between share of variance from totals of `class_terms` [..., 6].

    Not clipped at 0, where an interval would claim that there is something; below 0 classes differ less than chance
    lets them.
    """
    return _share(*components_from_sums(sums))


def _share(between: Floats, within: Floats) -> Floats:
    total = np.asarray(between + within)
    return np.divide(between, total, out=np.full(total.shape, np.nan), where=total > 0)
