"""How often an interval holds the truth, of every estimator of which a report prints one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from lit_experiments.selftest import classification, means, predictions
from lit_experiments.selftest.simulation import Simulation

SIMULATIONS: tuple[Simulation, ...] = (
    *means.SIMULATIONS,
    *predictions.SIMULATIONS,
    *classification.SIMULATIONS,
)
SIZES = (5, 8, 12, 24, 72, 240)
LARGE = 1_200
"""More groups than the jackknife leaves out: resamples instead."""

MANY, LEAST_COVERAGE, LEAST_COVERAGE_OF_FEW = 20, 0.93, 0.90
"""From MANY groups on an interval holds the truth at least that often; with fewer, wherever there is an interval."""

_CHANCE = 1e-4  # that a repeat count this low comes of a coverage that is high enough


@dataclass(frozen=True)
class Coverage:
    """Of one estimator with so many groups.

    seeds: repeats. intervals: repeats that gave one; below, above: intervals of these that lie below the truth, or
    above. bias: mean of the estimates less the truth; width: median of the intervals. method: of most of the intervals.
    """

    estimator: str
    groups: int
    seeds: int
    intervals: int
    below: int
    above: int
    bias: float
    width: float
    method: str

    @property
    def covered(self) -> int:
        """Intervals that hold the truth."""
        return self.intervals - self.below - self.above

    @property
    def share(self) -> float:
        """Of the intervals; NaN where there is none."""
        return self.covered / self.intervals if self.intervals else float("nan")

    @property
    def holds(self) -> bool:
        """Whether the coverage may be as high as promised: fewer covered intervals than these would be no chance."""
        promised = LEAST_COVERAGE if self.groups >= MANY else LEAST_COVERAGE_OF_FEW
        return not self.intervals or bool(binom.cdf(self.covered, self.intervals, promised) > _CHANCE)


def coverage(simulation: Simulation, groups: int, seeds: Iterable[int]) -> list[Coverage]:
    """Of each estimate of a simulation."""
    repeats = [simulation.estimates(groups, simulation.generator(groups, seed)) for seed in seeds]
    out = []
    for (name, truth), estimates in zip(simulation.truths.items(), zip(*repeats, strict=True), strict=True):
        intervals = [estimate for estimate in estimates if estimate.has_interval]
        methods = [estimate.method for estimate in intervals]
        values = np.array([estimate.value for estimate in estimates])
        out.append(
            Coverage(
                estimator=name,
                groups=groups,
                seeds=len(estimates),
                intervals=len(intervals),
                below=sum(estimate.high < truth for estimate in intervals),
                above=sum(estimate.low > truth for estimate in intervals),
                bias=float(values[np.isfinite(values)].mean() - truth) if np.isfinite(values).any() else float("nan"),
                width=float(np.median([e.high - e.low for e in intervals])) if intervals else float("nan"),
                method=max(set(methods), key=methods.count) if methods else "",
            )
        )
    return out


def sizes_of(simulation: Simulation, sizes: Sequence[int]) -> list[int]:
    """The numbers of groups that a simulation is run with."""
    return [groups for groups in sizes if groups < LARGE or simulation.large]
