"""Targets of rows, with copies that are permuted between groups. Knows no features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.splits import shuffled_donors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TargetTable:
    """The real targets, then those of every shuffle.

    read: rows -> [row, target] or [row, repetition, target]. group: [row] group codes of all rows. shuffles, seed: how
    many copies, and of their permutations. missing: whether rows may lack some targets; all of them are then held, and
    a copy is permuted among the rows that have the target.
    """

    def __init__(self, read: Callable[[Ints], NDArray], group: Ints, shuffles: int, seed: int, missing: bool) -> None:
        self._read, self._group, self._shuffles, self._seed = read, group, shuffles, seed
        self._held: Floats | None = None
        self._donors: list[Ints] = []
        if missing:
            self._held = self._with_copies(_with_repetitions(read(np.arange(len(group)))))
        else:
            self._donors = [shuffled_donors(group, seed, k) for k in range(shuffles)]

    def values(self, rows: Ints) -> Floats:
        """[row, repetition, target]; NaN where a repetition or a target is absent."""
        if self._held is not None:
            return self._held[rows]
        parts = [_with_repetitions(self._read(r)) for r in (rows, *(donor[rows] for donor in self._donors))]
        if len(parts) > 1 and any(np.isnan(p).all(-1).any() or p.shape != parts[0].shape for p in parts):
            raise ProbeError(
                "The shuffled-targets control needs the same number of repetitions in every row; some row lacks one. "
                "Set shuffles: 0, or select rows with all repetitions."
            )
        return np.concatenate(parts, axis=-1)

    def _with_copies(self, real: Floats) -> Floats:
        copies = [np.full_like(real, np.nan) for _ in range(self._shuffles)]
        for target in range(real.shape[-1]):
            rows = np.flatnonzero(~np.isnan(real[..., target]).all(1))
            _, codes = np.unique(self._group[rows], return_inverse=True)
            for shuffle, copy in enumerate(copies):
                donors = rows[shuffled_donors(codes.astype(np.int64), self._seed, shuffle)]
                copy[rows, :, target] = real[donors, :, target]
        return np.concatenate([real, *copies], axis=-1)


def _with_repetitions(y: NDArray) -> Floats:
    y = np.asarray(y, np.float64)
    return y[:, None, :] if y.ndim == 2 else y
