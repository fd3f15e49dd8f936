"""Runs the selftest: coverage, false positives and planted truths, in as many processes as there are processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

from lit_experiments.selftest import coverage as covered
from lit_experiments.selftest import false_positives as noise
from lit_experiments.selftest.coverage import Coverage, coverage
from lit_experiments.selftest.false_positives import FalsePositives, false_positives
from lit_experiments.selftest.planted import Planted, planted

Job = Callable[[], list[Any]]


@dataclass(frozen=True)
class Extent:
    """How much is simulated: repeats, and numbers of groups for coverage and for false positives."""

    seeds: int
    sizes: tuple[int, ...]
    noise_sizes: tuple[int, ...]


QUICK = Extent(60, (5, 12, 24), (24,))
FULL = Extent(300, (*covered.SIZES, covered.LARGE), noise.SIZES)


@dataclass(frozen=True)
class SelftestResult:
    """Everything that was measured, in the order of the tables."""

    seeds: int
    coverage: list[Coverage]
    false_positives: list[FalsePositives]
    planted: list[Planted]

    @property
    def faults(self) -> list[str]:
        """A line for each number that is not what the package promises."""
        return [
            *(
                f"{row.estimator}, {row.groups} groups: coverage {row.share:.1%}"
                for row in self.coverage
                if not row.holds
            ),
            *(
                f"{row.statement}, {row.groups} groups: made of noise in {row.share:.1%} of the repeats"
                for row in self.false_positives
                if not row.holds
            ),
            *(
                f"{row.statistic}: {row.measured:.4g} instead of {row.truth:.4g}"
                for row in self.planted
                if not row.holds
            ),
        ]


def selftest(extent: Extent, progress: Callable[[int, int], None] | None = None) -> SelftestResult:
    """Simulates. progress: called with how many parts are done, and of how many."""
    jobs = list(_jobs(extent))
    rows: dict[int, list[Any]] = {}
    processes = max(1, min(os.cpu_count() or 1, len(jobs)))
    with get_context("spawn").Pool(processes) as pool:
        # The last ones take longest: they begin first.
        for number, part in pool.imap_unordered(_numbered, reversed(list(enumerate(jobs)))):
            rows[number] = part
            if progress is not None:
                progress(len(rows), len(jobs))
    parts = [row for number in range(len(jobs)) for row in rows[number]]
    return SelftestResult(
        extent.seeds,
        [row for row in parts if isinstance(row, Coverage)],
        [row for row in parts if isinstance(row, FalsePositives)],
        [row for row in parts if isinstance(row, Planted)],
    )


def _numbered(job: tuple[int, Job]) -> tuple[int, list[Any]]:
    number, simulate = job
    return number, simulate()


def _jobs(extent: Extent) -> Iterator[Job]:
    """Each gives rows of one table."""
    yield planted
    seeds = range(extent.seeds)
    for groups in extent.noise_sizes:
        for statement in noise.STATEMENTS:
            yield partial(_false_positives, statement, groups, seeds)
    for number, simulation in enumerate(covered.SIMULATIONS):
        for groups in covered.sizes_of(simulation, extent.sizes):
            yield partial(_coverage, number, groups, seeds)


def _coverage(number: int, groups: int, seeds: range) -> list[Coverage]:
    return coverage(covered.SIMULATIONS[number], groups, seeds)


def _false_positives(statement: str, groups: int, seeds: range) -> list[FalsePositives]:
    return [false_positives(statement, groups, seeds)]
