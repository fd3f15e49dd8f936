"""What a simulation is: data with a known truth, and the estimates that the package makes of it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap

RESAMPLES = 500
"""Only where there are more groups than the jackknife leaves out."""


@dataclass(frozen=True)
class Simulation:
    """truths: the true value of each estimate, by its name in the table.

    estimates: (groups, rng) -> one Estimate for each truth, in their order. groups: how many there are, or how many of
    the rarer class where two are compared. large: whether it is also run with more groups than the jackknife takes.
    """

    truths: dict[str, float]
    estimates: Callable[[int, np.random.Generator], list[Estimate]]
    large: bool = True

    def generator(self, groups: int, seed: int) -> np.random.Generator:
        """The randomness of one repeat; no two simulations share theirs."""
        return np.random.default_rng([seed, groups, zlib.crc32("|".join(self.truths).encode())])


def resampler(group: np.ndarray[tuple[int], np.dtype[np.int64]]) -> GroupBootstrap:
    """As the reports have it; group: [row]."""
    return GroupBootstrap(group, resamples=RESAMPLES, level=LEVEL, seed=0)
