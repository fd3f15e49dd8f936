"""The debiased calibration error written out as a sum over pairs of rows, which other tests compare with."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def error_by_pairs(confidence: np.ndarray, outcome: np.ndarray, groups: np.ndarray, bins: int) -> float:
    """Root of the mean over rows of their bin's squared gap, from products of rows of different groups."""
    edges = np.linspace(0, 1, bins + 1)
    total, rows = 0.0, 0
    for low, high in pairwise(edges):
        inside = np.flatnonzero((confidence > low if low else confidence >= 0) & (confidence <= high))
        gap = outcome[inside] - confidence[inside]
        products = [
            gap[i] * gap[j]
            for i in range(len(inside))
            for j in range(len(inside))
            if groups[inside[i]] != groups[inside[j]]
        ]
        if products:
            total, rows = total + len(inside) * float(np.mean(products)), rows + len(inside)
    return float(np.sqrt(max(total / rows, 0.0)))
