"""Permutations of targets between groups that a whole family of tests shares. Knows no targets and no scores.

Targets may lack some rows: permutation number k then moves the groups that a target has in the order that k gives to
all groups of the family, so that it is the same permutation for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.splits import GroupMoves

Ints = NDArray[np.int64]

_CELLS = 1 << 23
"""Numbers of permuted rows held at a time."""


@dataclass(frozen=True, eq=False)
class Permutations:
    """So many permutations of rows.

    codes: [row] number of the row's group among the `groups` groups of the family. count: how many. seed: equal seeds
    and numbers of groups give equal orders of the groups. held: what the targets of a family last used, which the next
    one with the same rows uses again: one at a time, since each may take as much memory as its rows.
    """

    codes: Ints
    groups: int
    count: int
    seed: int
    held: dict[int, Ints] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, groups: ArrayLike, count: int, seed: int) -> Permutations:
        """Of rows in these groups [row], which are all that the family has."""
        return shared([groups], count, seed)[0]

    def blocks(self) -> Iterator[Ints]:
        """Parts [permutation, row] of all permutations: whose target each row gets."""
        if self.count * len(self.codes) <= _CELLS:
            if id(self) not in self.held:
                self.held.clear()
                self.held[id(self)] = self._donors(0, self.count)
            yield self.held[id(self)]
            return
        size = max(1, _CELLS // max(1, len(self.codes)))
        for start in range(0, self.count, size):
            yield self._donors(start, min(start + size, self.count))

    def _donors(self, start: int, stop: int) -> Ints:
        moves = GroupMoves.of(self.codes, self.seed, self.groups)
        return np.stack([moves.donors(number) for number in range(start, stop)])


def shared(groups: Sequence[ArrayLike], count: int, seed: int) -> list[Permutations]:
    """For each target the permutations of its rows, groups [row] by name; those with the same rows share one object."""
    rows = [np.asarray(names) for names in groups]
    names = np.unique(np.concatenate(rows)) if rows else np.zeros(0)
    made: dict[bytes, Permutations] = {}
    held: dict[int, Ints] = {}
    out = []
    for of_target in rows:
        codes = np.searchsorted(names, of_target).astype(np.int64)
        out.append(made.setdefault(codes.tobytes(), Permutations(codes, len(names), count, seed, held)))
    return out
