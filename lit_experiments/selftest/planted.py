"""Statistics without an interval, on data of which the answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import ortho_group

from lit_experiments.selftest.data import Floats
from lit_experiments.selftest.simulation import resampler
from lit_experiments.statistics import detectable, log_mean_exp, one_way
from lit_experiments.statistics.clusters import choose_number
from lit_experiments.statistics.divergence import entropy, jensen_shannon, miller_madow
from lit_experiments.statistics.repetition import distinct
from lit_experiments.statistics.similarity import linear_cka, principal_angles, row_cosines
from lit_experiments.statistics.spread import spread

_SEED = 7


@dataclass(frozen=True)
class Planted:
    """A known answer, what the package's statistic says, and how far chance may set them apart."""

    statistic: str
    truth: float
    measured: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the two are that close."""
        return abs(self.measured - self.truth) <= self.tolerance


@dataclass(frozen=True)
class Plant:
    """truth, tolerance: as in Planted. measure: the statistic on data made with a generator."""

    statistic: str
    truth: float
    tolerance: float
    measure: Callable[[np.random.Generator], float]


def planted() -> list[Planted]:
    """All of PLANTS."""
    return [
        Planted(plant.statistic, plant.truth, plant.measure(np.random.default_rng([_SEED, number])), plant.tolerance)
        for number, plant in enumerate(PLANTS)
    ]


def _rotated_cka(rng: np.random.Generator) -> float:
    states = rng.normal(size=(60, 16))
    return linear_cka(states, 3 * states @ ortho_group.rvs(16, random_state=rng))


def _unrelated_cka(rng: np.random.Generator) -> float:
    return float(np.mean([linear_cka(rng.normal(size=(20, 64)), rng.normal(size=(20, 64))) for _ in range(200)]))


def _angle(rng: np.random.Generator) -> float:
    """Of two planes that share one direction, the others 30 degrees apart."""
    first = np.eye(8)[:2]
    second = np.stack([first[0], np.cos(np.pi / 6) * first[1] + np.sin(np.pi / 6) * np.eye(8)[2]])
    weights = rng.normal(size=(200, 2))
    return float(principal_angles(weights @ first, weights @ second, 2)[-1])


def _clusters(rng: np.random.Generator, number: int) -> float:
    centers = 12 * np.eye(6)[:number]
    rows = np.concatenate([center + rng.normal(size=(25, 6)) for center in centers])
    return choose_number(rows, 6, restarts=3, references=10, seed=0).number


def _dimension(rng: np.random.Generator) -> float:
    return spread(np.pad(rng.normal(size=(3000, 4)), ((0, 0), (0, 12)))).dimension


def _component(rng: np.random.Generator) -> float:
    classes = np.repeat(np.arange(2000), rng.integers(1, 6, 2000))
    return one_way(2 * rng.normal(size=2000)[classes] + rng.normal(size=len(classes)), classes).between


def _entropy(rng: np.random.Generator) -> float:
    """Mean over texts of the entropy of eight equally likely tags, each from 200 draws."""
    return float(miller_madow(rng.multinomial(200, np.full(8, 1 / 8), 2000)).mean())


def _power(rng: np.random.Generator) -> float:
    """How often an effect of the size that is called detectable at 80 % leaves 0 out of its interval."""
    boot = resampler(np.arange(30))
    effect = float(np.mean([detectable(boot.mean(rng.normal(size=30)).item()) for _ in range(50)]))
    return float(np.mean([boot.mean(effect + rng.normal(size=30)).item().side_of(0) > 0 for _ in range(400)]))


def _halves(rows: Floats) -> tuple[Floats, Floats]:
    first, second = np.split(rows, 2)
    return first, second


PLANTS = (
    Plant("CKA of a rotated set", 1.0, 1e-9, _rotated_cka),
    Plant("CKA of unrelated sets", 0.0, 0.02, _unrelated_cka),
    Plant(
        "cosine of independent directions",
        0.0,
        0.01,
        lambda rng: row_cosines(*_halves(rng.normal(size=(4000, 64)))).mean(),
    ),
    Plant("largest principal angle, degrees", 30.0, 1e-6, _angle),
    Plant("number of clusters: three", 3.0, 0.0, lambda rng: _clusters(rng, 3)),
    Plant("number of clusters: one", 1.0, 0.0, lambda rng: _clusters(rng, 1)),
    Plant("effective dimension of four", 4.0, 0.05, _dimension),
    Plant("variance between classes", 4.0, 0.4, _component),
    Plant("entropy from counts, nats", float(np.log(8)), 0.02, _entropy),
    Plant(
        "divergence of disjoint distributions, nats",
        float(np.log(2)),
        1e-12,
        lambda _: float(jensen_shannon([1, 0], [0, 1])),
    ),
    Plant("entropy of a fair coin, nats", float(np.log(2)), 1e-12, lambda _: float(entropy([0.5, 0.5]))),
    Plant(
        "log of a mean of exponentials", 500.5, 0.05, lambda rng: float(log_mean_exp(500 + rng.normal(size=20_000), 0))
    ),
    Plant("share of distinct word pairs", 0.5, 1e-12, lambda _: distinct([1, 2, 1, 2, 1], 2)),
    Plant("power of an effect called detectable", 0.8, 0.08, _power),
)
