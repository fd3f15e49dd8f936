"""Tests of one family, corrected by the permutations that they share: step-down max-T (Westfall and Young 1993,
Resampling-Based Multiple Testing, algorithm 2.8).

The adjusted p-value of a hypothesis is how often the largest of all statistics that are still in question becomes as
large as its own where the null hypothesis holds. Layers that say the same thing count as one; Holm counts each, and
with many of them asks for more permutations than there are.

Statistics are first made comparable, by mean and spread of each over the real labels and all permutations together:
under the null hypothesis the real labels are one permutation more, so that the test is as exact as that of a single
statistic, and a family may hold R2 next to AUROC. Knows no labels: who permutes sees to it that whole groups move, and
that permutation number p is the same for every hypothesis. Shapes: H hypotheses, P permutations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_ROUNDING = 1e-9  # of the numbers compared: equal sums in another order differ by less, and count as equal
_BLOCK = 1 << 22  # numbers of permuted statistics made comparable at a time


@dataclass(frozen=True, eq=False)
class Family:
    """Statistics of the real labels [H] and of permuted ones [P, H]; NaN is a statistic that there is not.

    two_sided: whether sizes count, and not only large values; the statistics are then differences from 0.
    Raises ValueError for shapes that do not go together.
    """

    observed: Floats
    permuted: Floats
    two_sided: bool = False

    def __post_init__(self) -> None:
        if self.observed.ndim != 1 or self.permuted.shape[1:] != self.observed.shape:
            raise ValueError(
                f"{self.observed.shape} observed statistics and {self.permuted.shape} permuted ones: expected [H], "
                "and [P, H]"
            )

    @classmethod
    def joined(cls, observed: Sequence[ArrayLike], permuted: Sequence[ArrayLike], two_sided: bool = False) -> Family:
        """Of parts, each [h] and [P, h] with the same permutations."""
        values = [np.asarray(part, np.float64) for part in observed]
        return cls(
            np.concatenate(values) if values else np.zeros(0),
            np.concatenate([np.asarray(part, np.float64) for part in permuted], 1) if values else np.zeros((0, 0)),
            two_sided,
        )

    def adjusted(self) -> Floats:
        """[H] adjusted p-values, none below 1 / (1 + P) and none below that of a larger statistic.

        NaN where the observed statistic is, or where no permutation has one; these are not counted.
        """
        center, scale = self._measures()
        value, slack = self._comparable(center, scale)
        order = self._order(value)
        reached, done = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
        for largest in self._successive(order, center, scale):
            reached += (largest >= value[order] - slack[order]).sum(0)
            done += np.isfinite(largest).sum(0)
        out = np.full(len(value), np.nan)
        out[order] = np.maximum.accumulate((1 + reached) / (1 + done))
        return out

    def bounds(self, level: float) -> Floats:
        """[H] what each statistic must exceed for an adjusted p-value of at most `level`; one-sided families.

        Where the permutations cannot reach the level the bound is infinite. Raises ValueError for a two-sided family.
        """
        if self.two_sided:
            raise ValueError("a bound is of one-sided families")
        center, scale = self._measures()
        value, slack = self._comparable(center, scale)
        order = self._order(value)
        if not len(order):
            return np.full(len(value), np.nan)
        largest = np.concatenate(list(self._successive(order, center, scale)))
        rank = int(np.floor(level * (1 + len(largest)) * (1 + _ROUNDING)))
        if rank < 1:
            return np.where(np.isnan(value), np.nan, np.inf)
        critical = np.sort(largest, axis=0)[-rank]
        kept = np.flatnonzero(value[order] - slack[order] <= critical)  # the first of them ends it
        at = critical[kept[0] if len(kept) else -1]
        return np.where(np.isnan(value), np.nan, center + at * scale)

    def _measures(self) -> tuple[Floats, Floats]:
        """Center and spread [H] of each statistic over the real labels and all permutations."""
        known = np.isfinite(self.permuted)
        count = 1 + known.sum(0)
        safe = np.where(known, self.permuted, 0.0)
        center = (self.observed + safe.sum(0)) / count
        if self.two_sided:
            center = np.where(np.isnan(self.observed), np.nan, 0.0)
        squares = (self.observed - center) ** 2 + (np.where(known, self.permuted - center, 0.0) ** 2).sum(0)
        scale = np.sqrt(squares / count)
        still = scale <= _ROUNDING * np.abs(center)  # the permutations change nothing but rounding
        return center, np.where(still | (scale == 0), 1.0, scale)

    def _comparable(self, center: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """The observed statistics [H] in spreads from the center, NaN where there is no test; and their rounding."""
        value = (self.observed - center) / scale
        value = np.where(np.isfinite(self.permuted).any(0) & np.isfinite(value), value, np.nan)
        slack = _ROUNDING * np.maximum(np.abs(self.observed), np.abs(center)) / scale
        return (np.abs(value) if self.two_sided else value), slack

    def _order(self, value: Floats) -> NDArray[np.int64]:
        """The hypotheses that are tested, largest statistic first."""
        order = np.argsort(-value, kind="stable")
        return order[: int(np.isfinite(value).sum())]

    def _successive(self, order: NDArray[np.int64], center: Floats, scale: Floats) -> Iterator[Floats]:
        """Blocks [p, tested] of the largest permuted statistic from each hypothesis in the order on."""
        size = max(1, _BLOCK // max(1, len(order)))
        for start in range(0, len(self.permuted), size):
            values = (self.permuted[start : start + size, order] - center[order]) / scale[order]
            values = np.where(np.isfinite(values), np.abs(values) if self.two_sided else values, -np.inf)
            yield np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]


def max_t(observed: ArrayLike, permuted: ArrayLike, two_sided: bool = False) -> Floats:
    """Adjusted p-values, shape [*family], of observed [*family] and permuted [P, *family] statistics; see `Family`."""
    values, null = np.asarray(observed, np.float64), np.asarray(permuted, np.float64)
    return Family(values.reshape(-1), null.reshape(len(null), -1), two_sided).adjusted().reshape(values.shape)
