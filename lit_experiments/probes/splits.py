"""Splits by group.

Owns the rule that no group ever straddles two parts, and that the split depends on nothing but the groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.errors import ProbeError
from lit_experiments.statistics import LEAST_GROUPS

_STRATUM = 8
"""Groups of nearly one size that swap targets: few, so that they are alike, and enough for 40,000 orders."""


def group_codes(groups: Sequence[str] | Sequence[int] | NDArray) -> tuple[NDArray, NDArray[np.int64]]:
    """The sorted distinct groups, and each row's position among them."""
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    return names, codes.reshape(-1).astype(np.int64)


def group_split(
    groups: Sequence[str] | Sequence[int] | NDArray,
    test_fraction: float,
    folds: int,
    seed: int,
    test_groups: Collection[str] | None = None,
) -> NDArray:
    """[row] TEST or the training fold 0..folds-1 of each row.

    A pure function of (set of groups, fraction, folds, seed): groups are put in the order of a hash of (seed, group),
    the first round(fraction * groups) are the test part and the others are dealt to the folds in turn. The order of
    rows, the size of batches and the version of numpy do not matter. folds 1 means no cross-validation. test_groups:
    these are the test part, where the data brings its own; test_fraction is then 0.
    """
    names, codes = group_codes(groups)
    n_test = round(test_fraction * len(names)) if test_groups is None else _given(names, test_groups, test_fraction)
    _check(len(names), n_test, test_fraction, folds)
    shuffled = np.argsort(np.fromiter((_hash(seed, str(name)) for name in names), np.uint64, len(names)), kind="stable")
    if test_groups is not None:
        chosen = np.isin(names, list(test_groups))
        shuffled = np.concatenate([shuffled[chosen[shuffled]], shuffled[~chosen[shuffled]]])
    part = np.empty(len(names), np.int64)
    part[shuffled[:n_test]] = TEST
    part[shuffled[n_test:]] = np.arange(len(names) - n_test) % folds
    return part[codes]


def _given(names: NDArray, test_groups: Collection[str], test_fraction: float) -> int:
    """How many groups are named. Raises ProbeError for groups that do not exist, and next to a fraction."""
    if test_fraction:
        raise ProbeError(f"The test part is given by name, so test_fraction must be 0, found {test_fraction}.")
    unknown = set(test_groups) - set(names.tolist())
    if unknown or not test_groups:
        shown = ", ".join(map(repr, sorted(unknown)[:5])) or "none was named"
        raise ProbeError(f"There are no such groups for the test part: {shown}.")
    return len(set(test_groups))


def _hash(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "little")


def _check(n_groups: int, n_test: int, test_fraction: float, folds: int) -> None:
    if not 0 <= test_fraction < 1 or folds < 1:
        raise ProbeError(
            f"test_fraction must lie in [0, 1) and folds be at least 1, found {test_fraction} and {folds}."
        )
    if test_fraction > 0 and n_test == 0:
        raise ProbeError(
            f"test_fraction {test_fraction} of {n_groups} groups leaves none for the test part. "
            "Give more groups or a larger fraction."
        )
    if n_groups - n_test < max(folds, 2):
        raise ProbeError(
            f"{n_groups} groups with test_fraction {test_fraction} leave {n_groups - n_test} for training, "
            f"fewer than the {max(folds, 2)} that {folds} folds need. Collect more groups or lower folds."
        )


def balanced_test_groups(
    groups: Sequence[str] | Sequence[int] | NDArray, strata: NDArray[np.bool_], test_fraction: float, seed: int
) -> list:
    """Groups for the test part such that each stratum [row, stratum] (a class, mostly) has its share of groups there.

    Greedily: strata with few groups first, of each the groups in the order of `group_split`, until `test_fraction` of
    its groups (rounded, and at most half of them) are in the test part; groups that are in no stratum likewise, last.
    """
    names, codes = group_codes(groups)
    order = np.argsort(np.fromiter((_hash(seed, str(name)) for name in names), np.uint64, len(names)), kind="stable")
    has = np.zeros((len(names), strata.shape[1]), np.bool_)
    np.logical_or.at(has, codes, strata)
    has = np.column_stack([has[:, np.argsort(has.sum(0), kind="stable")], ~has.any(1)])
    chosen = np.zeros(len(names), np.bool_)
    for member in has.T:
        total = int(member.sum())
        lacking = min(round(test_fraction * total), total // 2) - int((member & chosen).sum())
        free = order[(member & ~chosen)[order]]
        chosen[free[: max(0, lacking)]] = True
    return names[chosen].tolist()


def balanced_split(
    groups: NDArray, strata: NDArray[np.bool_], part: NDArray, folds: int, seed: int
) -> NDArray[np.int64] | None:
    """A split [row] in whose test part every stratum [row, stratum] has its share of groups; None where that of
    `part` [row] has groups enough of each for an interval, and where no other has more of the rarest."""
    fewest = _fewest(groups, strata, part == TEST)
    names, first = np.unique(groups, return_index=True)
    if fewest >= LEAST_GROUPS:
        return None
    chosen = balanced_test_groups(groups, strata, float((part[first] == TEST).mean()), seed)
    test = np.isin(groups, chosen)
    if len(names) - len(chosen) < 2 * folds or _fewest(groups, strata, test) <= fewest:
        return None
    return group_split(groups, 0.0, folds, seed, chosen)


def _fewest(groups: NDArray, strata: NDArray[np.bool_], rows: NDArray[np.bool_]) -> int:
    """Groups of the stratum that has fewest among some rows."""
    return min((len(np.unique(groups[member & rows])) for member in strata.T), default=0)


def shuffled_donors(codes: NDArray[np.int64], seed: int, shuffle: int, groups: int | None = None) -> NDArray[np.int64]:
    """[row] whose targets each row gets in a copy that holds nothing of the row; see `GroupMoves`."""
    return GroupMoves.of(codes, seed, groups).donors(shuffle, away=True)


@dataclass(frozen=True, eq=False)
class GroupMoves:
    """Permutations of rows' targets between groups.

    Groups of one size swap their targets row by row. Where sizes differ, groups swap within strata of `_STRATUM` groups
    or a few more of nearly one size; one that is larger than its donor gets some targets twice, a smaller one gets some
    of them. What depends within a group then stays together: were targets dealt out row after row instead, groups would
    get parts of several others, and statistics of permuted targets would vary less than that of the real ones (a test
    at 5 % said 7 to 11 % of noise, groups of 1 to 8 rows correlated by 0.5; so 3 to 7 %).

    codes: [row] number of the row's group. sizes: [group] rows. order: [row] rows group by group. by_size: the groups
    that have rows, by size; stratum: [same] of each. They follow from sizes and seed, the same for every permutation.
    """

    codes: NDArray[np.int64]
    seed: int
    sizes: NDArray[np.int64]
    order: NDArray[np.int64]
    by_size: NDArray[np.int64]
    stratum: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int64], seed: int, groups: int | None = None) -> GroupMoves:
        """groups: how many there are beside those of the codes too; None: none beside these."""
        most = int(codes.max()) + 1 if len(codes) else 0
        sizes = np.bincount(codes, minlength=most if groups is None else groups).astype(np.int64)
        present = np.flatnonzero(sizes)
        # A stream of its own: [seed, 0] and seed give one, and the first permutation would be the order itself.
        tie = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).permutation(len(sizes))
        by_size = present[np.lexsort((tie[present], sizes[present]))]
        strata = max(1, len(present) // _STRATUM)
        stratum = np.arange(len(present)) * strata // max(1, len(present))
        return cls(codes, seed, sizes, np.argsort(codes, kind="stable"), by_size, stratum)

    def donors(self, number: int, away: bool = False) -> NDArray[np.int64]:
        """[row] whose target each row gets under this permutation.

        Args:
            away: strata go around in a circle, so that no group of them keeps its targets. A test needs every
                permutation; in a copy for a control one group in `_STRATUM` would keep its targets, and a probe of the
                copy would read what the copy is to be without.
        """
        rng = np.random.default_rng([self.seed, number])
        rank = rng.permutation(len(self.sizes))
        donors = np.empty(len(self.codes), np.int64)
        present = self.sizes[self.by_size]
        if not len(present) or present[0] == present[-1]:
            donors[self.order] = np.argsort(rank[self.codes], kind="stable")
            return donors
        donor = np.arange(len(self.sizes))
        ranked = self.by_size[np.lexsort((rank[self.by_size], self.stratum))]
        if away:
            place, end = np.arange(len(ranked)), np.searchsorted(self.stratum, self.stratum, "right")
            donor[ranked] = ranked[np.where(place + 1 < end, place + 1, np.searchsorted(self.stratum, self.stratum))]
        else:
            donor[self.by_size] = ranked
        turn = rng.integers(0, np.maximum(self.sizes[donor], 1))
        turn = np.where(self.sizes[donor] == self.sizes, 0, turn)
        first, of = np.cumsum(self.sizes) - self.sizes, self.codes[self.order]
        place = np.arange(len(of)) - first[of] + turn[of]
        donors[self.order] = self.order[first[donor[of]] + place % self.sizes[donor[of]]]
        return donors
