"""Simulated measurements: rows in groups of unequal size, alike within a group, normal or skewed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ROWS = 8  # of a group, if nothing else is said; the fewest are 1
WITHIN = 0.3  # correlation of two rows of one group


def grouped(groups: int, rng: np.random.Generator, most: int = MOST_ROWS) -> Ints:
    """[row] group of each row: from 1 to `most` rows of each."""
    return np.repeat(np.arange(groups), rng.integers(1, most + 1, groups))


def normal(group: Ints, rng: np.random.Generator, within: float = WITHIN) -> Floats:
    """[row] standard normal numbers, any two of one group with this correlation."""
    shared = rng.normal(size=int(group.max()) + 1)[group]
    return np.sqrt(within) * shared + np.sqrt(1 - within) * rng.normal(size=len(group))


def skewed(group: Ints, rng: np.random.Generator, within: float = WITHIN) -> Floats:
    """[row] numbers of mean 0 and variance 1, skewness between 1 and 2: exponential group effects and rows."""
    shared = rng.exponential(size=int(group.max()) + 1)[group] - 1
    return np.sqrt(within) * shared + np.sqrt(1 - within) * (rng.exponential(size=len(group)) - 1)


def happened(probability: float | Floats, group: Ints, rng: np.random.Generator) -> Floats:
    """[row] 1 with this probability, else 0; rows of one group agree more than chance lets them."""
    return (ndtr(normal(group, rng)) < probability).astype(np.float64)
