"""Estimates over groups. Owns leaving out and resampling of groups; knows nothing of what is estimated.

Rows of one group (the continuations of one prompt, the tokens of one document) are not independent, so whole groups are
left out one at a time (jackknife), or drawn with replacement where they are many (bootstrap). A statistic that is a
function of sums costs one matrix product for all of these replicates; any other one is computed from row weights (how
often the row's group counts), which is the same as computing it on the repeated rows.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.statistics.estimate import LEAST_GROUPS, Estimate, no_width
from lit_experiments.statistics.intervals import (
    AGREEMENT,
    BOOTSTRAP,
    JACKKNIFE,
    PLAIN,
    Bounds,
    Scale,
    agreeing,
    bounded,
    jackknife,
    method_name,
    percentile,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CELLS = 1 << 18  # numbers of row weights held at a time: what a cache holds

MAX_UNITS = 10_000
"""More groups than this are first put, at random, into this many bins of equally many groups, which are then resampled.
The bins are independent and identically distributed as the groups are, so the interval keeps its meaning, and a million
groups cost what ten thousand do."""


JACKKNIFE_UNITS = 1_000
"""Up to so many groups, each is left out once; of more there are resamples, and percentiles hold what they say."""


class GroupBootstrap:
    """The groups and their replicates, shared by every statistic asked of it (so ratios and differences are paired).

    groups: [row] group of each row, integers or strings. resamples: how many, where there are resamples. level: nominal
    coverage of the intervals. seed: the same seed and groups give the same resamples.
    """

    def __init__(self, groups: ArrayLike, *, resamples: int, level: float, seed: int) -> None:
        if resamples < 1 or not 0 < level < 1:
            raise ValueError(f"bootstrap needs resamples >= 1 and 0 < level < 1, found {resamples} and {level}")
        distinct, codes = np.unique(np.asarray(groups), return_inverse=True)
        rng = np.random.default_rng(seed)
        self.n = len(distinct)
        self.level, self.resamples = level, resamples
        self.units = min(self.n, MAX_UNITS)
        self.unit_of_row = codes.reshape(-1) if self.n <= MAX_UNITS else (rng.permutation(self.n) % MAX_UNITS)[codes]
        self._rng = rng
        self.together = False

    @cached_property
    def _counts(self) -> NDArray[np.uint16]:
        return _draw(self.units, self.resamples, self._rng)

    def jointly(self) -> GroupBootstrap:
        """The same groups and replicates; the intervals of all values of a batch hold together (`simultaneous`), and so
        that of the largest of them."""
        joint = copy(self)
        joint.together = True
        return joint

    def over(self, groups: ArrayLike, seed: int) -> GroupBootstrap:
        """As many resamples at the same level over other groups."""
        return GroupBootstrap(groups, resamples=self.resamples, level=self.level, seed=seed)

    def sums(self, terms: ArrayLike) -> Floats:
        """Sum rows [row, ...] within each resampled unit: [unit, ...]."""
        rows = np.asarray(terms, np.float64)
        if len(rows) != len(self.unit_of_row):
            raise ValueError(f"terms have {len(rows)} rows, the bootstrap has {len(self.unit_of_row)}")
        flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
        summed = np.empty((self.units, flat.shape[1]))
        for column in range(flat.shape[1]):
            summed[:, column] = np.bincount(self.unit_of_row, flat[:, column], self.units)
        return summed.reshape(self.units, *rows.shape[1:])

    def mean(self, values: ArrayLike, within: Scale | None = None) -> NDArray[np.object_]:
        """Estimates [*batch] of the mean over rows of values [row, *batch]; NaN is no value.

        within: as in `from_sums`.
        """
        numbers = np.asarray(values, np.float64)
        known = ~np.isnan(numbers)
        return self.ratio(np.where(known, numbers, 0.0), known, within)

    def ratio(self, above: ArrayLike, below: ArrayLike, within: Scale | None = None) -> NDArray[np.object_]:
        """Estimates [*batch] of the sum of `above` over that of `below`, both [row, *batch]; NaN where that is 0."""
        terms = np.stack([np.asarray(above, np.float64), np.asarray(below, np.float64)], axis=-1)
        return self.from_sums(self.sums(terms), ratio_of_sums, within)

    def difference(self, first: ArrayLike, second: ArrayLike, within: Scale | None = None) -> NDArray[np.object_]:
        """Estimates [*batch] of the mean of first - second over the rows that have both, [row, *batch]."""
        return self.mean(np.asarray(first, np.float64) - np.asarray(second, np.float64), within)

    def from_sums(
        self, sums: ArrayLike, statistic: Callable[[Floats], Floats], within: Scale | None = None
    ) -> NDArray[np.object_]:
        """Estimates of `statistic`, a function of totals, from the units' sums.

        sums: [unit, *batch, term]; statistic: [..., *batch, term] -> [..., *batch], NaN where undefined. within: the
        range that the statistic of any units has, (0, 1) for a share; see `_agreeing`.
        Returns an array of Estimate with shape [*batch] (0-d when there is no batch dim; `.item()` gives the Estimate).
        Its n is the number of groups that add anything: the others change no resample.
        """
        by_unit = np.asarray(sums, np.float64)
        batch = by_unit.shape[1:-1]
        if self.n == 0:
            void, none = np.full(batch, np.nan), np.zeros(batch, np.int64)
            return self._made(void, (void, void), none, none, (JACKKNIFE, PLAIN))
        total = by_unit.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            value, replicates = statistic(total), statistic(self._replicated(by_unit, total))
        used = (by_unit != 0).any(-1).sum(0)
        groups = np.where(used == self.units, self.n, used)
        return self._estimates(value, replicates, within, groups, groups)

    def _replicated(self, by_unit: Floats, total: Floats) -> Floats:
        """[replicate, *batch, term] totals of the units' sums."""
        if self.leaves_out:
            return np.asarray(total - by_unit)
        drawn = self._counts.astype(np.float64) @ by_unit.reshape(self.units, -1)
        return drawn.reshape(-1, *by_unit.shape[1:])

    @property
    def leaves_out(self) -> bool:
        """Whether the replicates are those of the jackknife: replicate i lacks unit i."""
        return 1 < self.units <= JACKKNIFE_UNITS

    @property
    def counts(self) -> Floats:
        """[replicate, unit] how often each unit counts, for statistics that take all replicates at once."""
        return 1 - np.eye(self.units) if self.leaves_out else self.resampled

    @property
    def resampled(self) -> Floats:
        """[resample, unit] how often each unit was drawn, for what needs a distribution and no interval."""
        return self._counts.astype(np.float64)

    def draws(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """[replicate, *batch] a statistic on every replicate: statistic(weights [n, row]) -> [n, *batch]."""
        return self._on(self.counts, statistic)

    def resampled_draws(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """[resample, *batch] a statistic on every resample, as in `draws`."""
        return self._on(self.resampled, statistic)

    def _on(self, counts: Floats, statistic: Callable[[Floats], Floats]) -> Floats:
        step = max(1, _CELLS // max(1, len(self.unit_of_row)))
        parts = range(0, len(counts), step)
        return np.concatenate([statistic(counts[start : start + step, self.unit_of_row]) for start in parts])

    def from_weights(
        self, statistic: Callable[[Floats], Floats], within: Scale | None = None, used: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Estimates [*batch] of a statistic that takes many weightings of the rows at once, as in `draws`.

        within, used: as in `from_draws`.
        """
        value = statistic(np.ones((1, len(self.unit_of_row))))[0]
        return self.from_draws(value, self.draws(statistic), within, used)

    def from_draws(
        self, value: ArrayLike, draws: ArrayLike, within: Scale | None = None, used: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Estimates [*batch] from values [*batch] and those of each replicate of `counts`, [replicate, *batch].

        within: as in `from_sums`. used: [*batch] groups of the smaller side where a value compares two (the rarer class
        of an AUROC): below LEAST_GROUPS these are too few, however many there are on the other side.
        """
        smaller = np.asarray(self.n if used is None else used)
        return self._estimates(value, draws, within, np.where(smaller < LEAST_GROUPS, smaller, self.n), smaller)

    def from_resamples(
        self, value: ArrayLike, draws: ArrayLike, within: Scale = PLAIN, used: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Estimates [*batch] from resamples [resample, *batch] of `resampled`, for what the jackknife misjudges.

        within, used: as in `from_draws`.
        """
        center = np.asarray(value, np.float64)
        smaller = np.broadcast_to(np.asarray(self.n if used is None else used, np.int64), center.shape)
        groups = np.where(smaller < LEAST_GROUPS, smaller, self.n)
        ends = percentile(center, draws, smaller, self.level, within, self.together)
        return self._made(center, ends, groups, smaller, (BOOTSTRAP, within))

    def from_rows(
        self, statistic: Callable[[Floats], float], within: Scale | None = None, used: int | None = None
    ) -> Estimate:
        """Estimate of a statistic of weighted rows: statistic(weights [row]) -> float, weights whole numbers >= 0."""
        return self.from_counts(lambda counts: statistic(counts[self.unit_of_row]), within, used)

    def from_counts(
        self, statistic: Callable[[Floats], float], within: Scale | None = None, used: int | None = None
    ) -> Estimate:
        """Estimate of a statistic of how often each unit counts: statistic(counts [unit]); rows: `unit_of_row`.

        within, used: as in `from_draws`.
        """
        if self.n == 0:
            return Estimate.undefined(0, self.level)
        draws = np.array([statistic(counts) for counts in self.counts])
        return self.from_draws(statistic(np.ones(self.units)), draws, within, used).item()

    def _estimates(
        self, value: ArrayLike, replicates: ArrayLike, within: Scale | None, groups: ArrayLike, smaller: ArrayLike
    ) -> NDArray[np.object_]:
        """value: [*batch], replicates: [replicate, *batch]; groups: [*batch] n of every Estimate.

        smaller: [*batch] groups on the smaller side of what is compared.
        """
        center, scale = np.asarray(value, np.float64), PLAIN if within is None else within
        n, least = (np.broadcast_to(np.asarray(count, np.int64), center.shape) for count in (groups, smaller))
        if self.leaves_out:
            method, ends = JACKKNIFE, jackknife(center, replicates, n, least, self.level, scale, self.together)
        else:
            method, ends = BOOTSTRAP, percentile(center, replicates, least, self.level, scale, self.together)
        return self._made(center, ends, n, least, (method, scale))

    def _made(self, center: Floats, ends: Bounds, n: Ints, least: Ints, how: tuple[str, Scale]) -> NDArray[np.object_]:
        """Estimates [*batch] of values, bounds and numbers of groups, all [*batch]."""
        (low, high), (method, scale) = ends, how
        named, alike = method_name(method, scale, self.together), bounded(scale)
        out = np.empty(center.shape, object)
        for place in np.ndindex(center.shape):
            middle = float(center[place]) if np.isfinite(center[place]) else np.nan
            bounds, name = (float(low[place]), float(high[place])), named
            if alike and no_width(*bounds):
                bounds, name = agreeing(middle, int(least[place]), self.level, scale), AGREEMENT
            out[place] = Estimate(middle, *bounds, int(n[place]), self.level, method=name)
        return out


def ratio_of_sums(sums: Floats) -> Floats:
    """The first of two sums [..., 2] over the second; NaN where that is 0."""
    above, below = sums[..., 0], sums[..., 1]
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)


def _draw(units: int, resamples: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """[resample, unit] how often each unit was drawn: multinomial, as counts of uniform draws."""
    counts = np.zeros((resamples, units), np.uint16)
    for b in range(resamples if units else 0):
        counts[b] = np.bincount(rng.integers(0, units, units), minlength=units)
    return counts
