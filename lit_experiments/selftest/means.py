"""Simulations of means, shares, ratios, differences and paired comparisons."""

from __future__ import annotations

import numpy as np

from lit_experiments.selftest.data import grouped, happened, normal, skewed
from lit_experiments.selftest.simulation import Simulation, resampler
from lit_experiments.statistics import Estimate, paired
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.statistics.pairs import adjusted

_LAYERS = 12


def _means(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    boot = resampler(group)
    below = 1 + 0.2 * normal(group, rng)
    above = 0.3 * below + 0.1 * skewed(group, rng)
    return [
        boot.mean(2 + normal(group, rng)).item(),
        boot.mean(2 + skewed(group, rng)).item(),
        boot.ratio(above, below).item(),
        boot.difference(0.5 + skewed(group, rng), skewed(group, rng)).item(),
    ]


def _shares(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    boot = resampler(group)
    common, moderate, rare = (happened(p, group, rng) for p in (0.5, 0.2, 0.03))
    return [
        *(boot.mean(outcome, SHARE).item() for outcome in (common, moderate, rare)),
        boot.difference(common, moderate, GAP).item(),
    ]


def _pairs(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    first = 4 + skewed(group, rng)
    second = first - 0.5 - normal(group, rng)
    pair = paired(first, second, group, resampler(group), 0)
    return [pair.difference, pair.relative, pair.d]


def _adjusted(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    covariate = 0.3 + normal(group, rng)
    line = adjusted(0.5 + 2 * covariate + skewed(group, rng), covariate, group, resampler(group), 0)
    return [line.effect, line.slope]


def _largest(groups: int, rng: np.random.Generator) -> list[Estimate]:
    """Of layers that go together and are all the same: what holds for all of them holds for the largest."""
    unit = np.arange(groups)
    common, apart = rng.normal(size=(groups, 1)), rng.normal(size=(groups, _LAYERS))
    values = np.sqrt(0.7) * common + np.sqrt(0.3) * apart
    out = []
    for rows, within in ((values, None), ((values > 0).astype(np.float64), SHARE)):
        estimates = resampler(unit).jointly().mean(rows, within)
        out.append(max(estimates, key=lambda estimate: estimate.value))
    return out


SIMULATIONS = (
    Simulation({"mean": 2, "mean, skewed": 2, "ratio of sums": 0.3, "difference of means, skewed": 0.5}, _means),
    Simulation({"share of 0.5": 0.5, "share of 0.2": 0.2, "share of 0.03": 0.03, "difference of shares": 0.3}, _shares),
    Simulation({"paired difference": 0.5, "paired difference, relative": 0.125, "Cohen's d, paired": 0.5}, _pairs),
    Simulation({"adjusted difference": 0.5, "slope of a covariate": 2}, _adjusted),
    Simulation({f"largest of {_LAYERS} means": 0, f"largest of {_LAYERS} shares": 0.5}, _largest),
)
