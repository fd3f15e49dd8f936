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

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import ratio_of_sums
from lit_experiments.statistics.spread import spread
from stores import Store

Floats = NDArray[np.float64]
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
        reaches = ~np.isnan(latents).any((0, 3))  # [C, N]
        reached[place], sampled[place] = reaches.sum(1), reaches.shape[1]
        for layer, checkpoint in np.ndindex(layers, checkpoints):
            chosen = reaches[checkpoint]
            measured = spread(latents[layer, checkpoint, chosen])
            for name in MEASURES:
                values[name][(*place, layer, checkpoint)] = getattr(measured, name)
            if checkpoint:
                before[(*place, layer, checkpoint)] = spread(latents[layer, checkpoint - 1, chosen]).variance
    return Spreads(problems, temperatures, values, before, reached, sampled)


def over_problems(spreads: Spreads, boot: GroupBootstrap) -> dict[str, NDArray[np.object_]]:
    """{measure: Estimate [T, L, C]}: means over the problems that have a value."""
    return {name: boot.mean(values) for name, values in spreads.values.items()}


def growth(spreads: Spreads, boot: GroupBootstrap) -> NDArray[np.object_]:
    """Estimate [T, L, C]: mean variance over that at the checkpoint before, of the same completions; C = 0 is void."""
    after = spreads.values["variance"]
    both = ~np.isnan(after) & ~np.isnan(spreads.before)
    return boot.ratio(np.where(both, after, 0), np.where(both, spreads.before, 0))


def peak(values: Floats, boot: GroupBootstrap) -> Estimate:
    """The index of the layer whose mean over problems [P, L] is largest, with its interval over the resamples; without
    a value where nothing varies."""
    known = ~np.isnan(values)
    sums = boot.sums(np.stack([np.where(known, values, 0), known], axis=-1))
    draws = _largest(np.tensordot(boot.resampled, sums, 1))  # not the jackknife: an index is no smooth function
    estimate: Estimate = boot.from_resamples(_largest(sums.sum(0)[None])[0], draws).item()
    return estimate


def _largest(sums: Floats) -> Floats:
    """[resample] the index of the layer with the largest mean, of sums and counts [resample, L, 2]; NaN where none is
    above 0."""
    means = np.nan_to_num(ratio_of_sums(sums), nan=-np.inf)
    return np.where((means > 0).any(-1), means.argmax(-1), np.nan)


def verdict(ratio: Estimate) -> str:
    """In words: does the variance go on growing?"""
    if not ratio.has_interval:
        return f"not told ({ratio.no_interval})" if np.isfinite(ratio.value) else "not told"
    return {1: "grows", -1: "shrinks", 0: "no change told"}[ratio.side_of(1)]
