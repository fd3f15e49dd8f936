"""Simulations of how well numbers are predicted and go together: R2, errors, correlations, noise ceilings."""

from __future__ import annotations

from functools import partial

import numpy as np

from lit_experiments.selftest.data import Floats, Ints, grouped, normal, skewed
from lit_experiments.selftest.simulation import Simulation, resampler
from lit_experiments.statistics import Estimate, GroupBootstrap, correlation
from lit_experiments.statistics.ceiling import ceiling_estimates
from lit_experiments.statistics.estimate import LEVEL
from lit_experiments.statistics.intervals import EXPLAINED
from lit_experiments.statistics.scores import error_terms, mae_from_sums, mse_from_sums, r2_from_sums

_PEARSON = 0.5


def _r2(true: Floats, predicted: Floats, boot: GroupBootstrap) -> Estimate:
    sums = boot.sums(error_terms(true, predicted, 0.0))
    estimate: Estimate = boot.from_sums(sums, r2_from_sums, EXPLAINED).item()
    return estimate


def _explained(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    boot = resampler(group)
    out = []
    for share, noise in ((0.5, normal), (0.9, normal), (0.5, skewed)):
        predicted = np.sqrt(share) * noise(group, rng)
        out.append(_r2(predicted + np.sqrt(1 - share) * noise(group, rng), predicted, boot))
    out.append(_r2(normal(group, rng), np.sqrt(0.05) * normal(group, rng), boot))
    return out


def _gain(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    boot = resampler(group)
    first, more, rest = (normal(group, rng) for _ in range(3))
    true = (first + more + rest) / np.sqrt(3)
    terms = [error_terms(true, part / np.sqrt(3), 0.0) for part in (first + more, first)]
    gain = boot.from_sums(
        boot.sums(np.concatenate(terms, -1)), lambda sums: r2_from_sums(sums[..., :5]) - r2_from_sums(sums[..., 5:])
    )
    return [gain.item()]


def _errors(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    boot = resampler(group)
    sums = boot.sums(error_terms(normal(group, rng), np.zeros(len(group)), 0.0))
    return [boot.from_sums(sums, score).item() for score in (mse_from_sums, mae_from_sums)]


def _correlations(groups: int, rng: np.random.Generator, noise: bool = False) -> list[Estimate]:
    group = grouped(groups, rng)
    x = normal(group, rng)
    y = normal(group, rng) if noise else _PEARSON * x + np.sqrt(1 - _PEARSON**2) * normal(group, rng)
    related = correlation(x, y, group, resamples=500, level=LEVEL, seed=0)
    return [related.pearson, related.spearman]


def _skewed_correlations(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group = grouped(groups, rng)
    x = skewed(group, rng)
    y = _PEARSON * x + np.sqrt(1 - _PEARSON**2) * skewed(group, rng)
    return [correlation(x, y, group, resamples=500, level=LEVEL, seed=0).pearson]


def _repeated(group: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """([row] group of rows that are repeated, [row, repetition] 1 where there is one): 1 to 3 rows of a group."""
    row_group = np.repeat(group, rng.integers(1, 4, len(group)))
    there = np.arange(6) < rng.integers(2, 7, len(row_group))[:, None]
    return row_group, np.where(there, 1.0, np.nan)


def _ceilings(groups: int, rng: np.random.Generator, share: float, lopsided: bool = False) -> list[Estimate]:
    row_group, there = _repeated(np.arange(groups), rng)
    single = np.arange(len(row_group))
    foreseen, unforeseen = ((skewed if lopsided else normal)(single, rng) for _ in range(2))
    between = (foreseen + unforeseen) / np.sqrt(2)
    true = np.sqrt(share) * between[:, None] + np.sqrt(1 - share) * rng.normal(size=there.shape)
    boot = resampler(row_group)
    return list(ceiling_estimates(true * there, np.sqrt(share / 2) * foreseen, 0.0, boot))[: 2 if share else 1]


SIMULATIONS = (
    Simulation({"R2 of 0.5": 0.5, "R2 of 0.9": 0.9, "R2 of 0.5, skewed": 0.5, "R2 of noise": -0.05}, _explained),
    Simulation({"difference of R2": 1 / 3}, _gain),
    Simulation({"mean squared error": 1.0, "mean absolute error": float(np.sqrt(2 / np.pi))}, _errors),
    Simulation(
        {"Pearson": _PEARSON, "Spearman": float(6 / np.pi * np.arcsin(_PEARSON / 2))}, _correlations, large=False
    ),
    Simulation({"Pearson of noise": 0.0, "Spearman of noise": 0.0}, partial(_correlations, noise=True), large=False),
    Simulation({"Pearson, skewed": _PEARSON}, _skewed_correlations),
    Simulation({"noise ceiling of 0.6": 0.6, "R2 over ceiling": 0.5}, partial(_ceilings, share=0.6)),
    Simulation(
        {"noise ceiling of 0.6, skewed": 0.6, "R2 over ceiling, skewed": 0.5},
        partial(_ceilings, share=0.6, lopsided=True),
    ),
    Simulation({"noise ceiling of 0.95": 0.95, "R2 over ceiling, little noise": 0.5}, partial(_ceilings, share=0.95)),
    Simulation({"noise ceiling of 0": 0.0}, partial(_ceilings, share=0.0)),
)
