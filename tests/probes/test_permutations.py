"""Permutations that a family of targets shares."""

from __future__ import annotations

import numpy as np
import pytest

from lit_experiments.probes.permutations import Permutations, shared


def donors(permutations: Permutations) -> np.ndarray:
    return np.concatenate(list(permutations.blocks()))


def test_whole_groups_move_and_every_permutation_is_another():
    groups = np.repeat(["c", "a", "b"], 4)
    moved = donors(Permutations.of(groups, 50, 0))
    assert (np.sort(moved, axis=1) == np.arange(12)).all()
    assert all(len(set(groups[rows[groups == name]])) == 1 for rows in moved for name in "abc")
    assert len({rows.tobytes() for rows in moved}) == 6  # of three groups there are no more orders


def test_targets_that_lack_groups_move_the_others_in_the_same_order():
    """Where both targets have groups, these come in one order under each permutation."""
    rng = np.random.default_rng(0)
    whole = np.array([f"g{i:02d}" for i in range(20)])
    kept = np.sort(rng.choice(20, 12, replace=False))
    first, second = shared([whole, whole[kept]], 30, 7)
    for full, part in zip(donors(first), donors(second), strict=True):
        place = {int(group): number for number, group in enumerate(full)}
        of_part = [place[int(kept[group])] for group in part]
        assert of_part == sorted(of_part)


def test_a_family_holds_the_permutations_of_one_set_of_rows_at_a_time():
    first, second, again = shared([np.arange(9), np.arange(8), np.arange(9)], 5, 0)
    (one,), (other,) = list(first.blocks()), list(second.blocks())
    assert first.held is second.held
    assert [held is other for held in second.held.values()] == [True]
    (anew,) = list(again.blocks())
    np.testing.assert_array_equal(anew, one)
    assert next(iter(again.blocks())) is anew


def test_targets_with_the_same_rows_share_one_object_and_blocks_are_the_whole(monkeypatch: pytest.MonkeyPatch):
    groups = np.arange(9)
    first, second, other = shared([groups, groups, groups[1:]], 11, 3)
    assert first is second is not other
    whole = donors(first)
    monkeypatch.setattr("lit_experiments.probes.permutations._CELLS", 20)
    parts = list(shared([groups], 11, 3)[0].blocks())
    assert len(parts) == 6
    np.testing.assert_array_equal(np.concatenate(parts), whole)
