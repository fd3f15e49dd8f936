"""How much a text repeats itself, and whether a difference between two kinds of text outlasts taking that into account.

Greedy text tends to run into loops, and a loop moves the states in circles: part of a difference between human and
model text may be one between text that repeats and text that does not. Pure functions on token ids and paired numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics import GroupBootstrap, Paired, paired
from lit_experiments.statistics.pairs import Adjusted, adjusted

Floats = NDArray[np.float64]

ORDERS = (1, 2, 3)
CONTROLLED = 2
"""The n of the distinct-n that differences are controlled for."""


@dataclass(frozen=True)
class Repetition:
    """Repetition of the texts of one pair of conditions, and their difference in smoothness with it controlled for.

    Attributes:
        looping_a, looping_b: paragraphs whose text ends in a loop.
        distinct: distinct-n of both sides, n = CONTROLLED, over the compared tokens.
        without_loops: smoothness over the paragraphs in which neither text does.
        adjusted: smoothness, first minus second, of two texts that repeat themselves equally.
    """

    looping_a: int
    looping_b: int
    distinct: Paired
    without_loops: Paired
    adjusted: Adjusted


def controlled(
    moved: Floats, shares: Floats, looping: NDArray[np.bool_], groups: NDArray[np.str_], boot: GroupBootstrap, seed: int
) -> Repetition:
    """Smoothness of two conditions with repetition taken into account.

    moved, shares, looping: [2, paragraph] smoothness, distinct-n, and whether the text loops. groups: [paragraph];
    boot: over these.
    """
    clean = ~looping.any(0)
    over_clean = boot if clean.all() else boot.over(groups[clean], seed)
    return Repetition(
        int(looping[0].sum()),
        int(looping[1].sum()),
        paired(shares[0], shares[1], groups, boot, seed),
        paired(moved[0, clean], moved[1, clean], groups[clean], over_clean, seed),
        adjusted(moved[0] - moved[1], shares[0] - shares[1], groups, boot, seed),
    )
