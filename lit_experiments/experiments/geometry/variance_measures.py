"""From stored latents to variances with intervals: per temperature, layer and checkpoint, averaged over problems.

Two comparisons are paired, since what reaches a longer checkpoint is not what reached a shorter one: the growth from
one checkpoint to the next is that of the completions that reach the later one; the peak over depth is drawn anew in
every resample of the problems.
Shapes: P problems, T temperatures, L layers, C checkpoints, N completions. Does not know: files, figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.geometry.averages import Floats, known_mean, ratio, value_and_count
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.spread import Spread, spread
from stores import Store

MEASURES = ("variance", "normalised", "dimension")


@dataclass(frozen=True)
class Spreads:
    """values: {measure: [P, T, L, C]}; before: [P, T, L, C] the variance at checkpoint c - 1 of the completions that
    reach c (NaN for the first); reached: [P, T, C] how many did; sampled: [P, T] how many there were."""

    problems: list[str]
    temperatures: list[float]
    values: dict[str, Floats]
    before: Floats
    reached: NDArray[np.int64]
    sampled: NDArray[np.int64]


def measure(store: Store) -> Spreads:
    """The spread of each row's latents."""
    table = store.table(["problem_id", "temperature"]).to_pydict()
    problems = list(dict.fromkeys(table["problem_id"]))
    temperatures = sorted(set(table["temperature"]))
    layers, checkpoints = (len(store.schema.coords[dim]) for dim in ("layer", "checkpoint"))
    shape = (len(problems), len(temperatures), layers, checkpoints)
    values = {name: np.full(shape, np.nan) for name in MEASURES}
    before = np.full(shape, np.nan)
    reached = np.zeros((*shape[:2], checkpoints), np.int64)
    sampled = np.zeros(shape[:2], np.int64)
    for row in store.iter_rows(["latents"]):
        place = (problems.index(row["problem_id"]), temperatures.index(row["temperature"]))
        latents = row["latents"]
        there = ~np.isnan(latents).any((0, 3))  # [C, N]
        reached[place], sampled[place] = there.sum(1), there.shape[1]
        for layer, checkpoint in np.ndindex(layers, checkpoints):
            chosen = there[checkpoint]
            _note(values, (*place, layer, checkpoint), spread(latents[layer, checkpoint, chosen]))
            if checkpoint:
                before[(*place, layer, checkpoint)] = spread(latents[layer, checkpoint - 1, chosen]).variance
    return Spreads(problems, temperatures, values, before, reached, sampled)


def over_problems(spreads: Spreads, boot: GroupBootstrap) -> dict[str, NDArray[np.object_]]:
    """{measure: Estimate [T, L, C]}: means over the problems that have a value."""
    return {name: known_mean(values, boot) for name, values in spreads.values.items()}


def growth(spreads: Spreads, boot: GroupBootstrap) -> NDArray[np.object_]:
    """Estimate [T, L, C]: mean variance over that at the checkpoint before, of the same completions; C = 0 is void."""
    after = spreads.values["variance"]
    both = ~np.isnan(after) & ~np.isnan(spreads.before)
    terms = np.stack([np.where(both, after, 0), np.where(both, spreads.before, 0)], axis=-1)
    return boot.from_sums(boot.sums(terms), ratio)


def peak(values: Floats, boot: GroupBootstrap) -> Estimate:
    """The index of the layer whose mean over problems [P, L] is largest, with its interval over the resamples; without
    a value where nothing varies."""
    sums = boot.sums(value_and_count(values))

    def largest(counts: Floats) -> float:
        means = ratio(np.tensordot(counts, sums, 1))
        return float(np.nanargmax(means)) if (means > 0).any() else np.nan

    return boot.from_counts(largest)


def verdict(growth_ratio: Estimate) -> str:
    """In words: does the variance go on growing?"""
    if not growth_ratio.has_interval:
        return f"not told ({growth_ratio.no_interval})" if np.isfinite(growth_ratio.value) else "not told"
    return {1: "grows", -1: "shrinks", 0: "no change told"}[growth_ratio.side_of(1)]


def _note(values: dict[str, Floats], place: tuple[int, ...], measured: Spread) -> None:
    for name in MEASURES:
        values[name][place] = getattr(measured, name)
