"""Group splits: nothing straddles, nothing but the groups matters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_experiments.probes.blocks import TEST, share
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.splits import GroupMoves, balanced_split, group_split, shuffled_donors


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 40), min_size=60, max_size=200), st.floats(0.05, 0.6), st.integers(1, 4), st.integers(0, 9)
)
def test_no_group_straddles_and_folds_are_even(groups, fraction, folds, seed):
    groups = np.array(groups + list(range(12)))
    fold = group_split(groups, fraction, folds, seed)
    assert all(len(set(fold[groups == g])) == 1 for g in groups)
    sizes = [len(set(groups[fold == f])) for f in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    assert len(set(groups[fold == TEST])) == round(fraction * len(set(groups)))


def test_split_does_not_depend_on_the_order_or_number_of_rows():
    groups = np.array([f"q{i:03d}" for i in range(50)] * 3)
    shuffled = np.random.default_rng(0).permutation(150)
    fold = group_split(groups, 0.2, 5, 1)
    assert (group_split(groups[shuffled], 0.2, 5, 1) == fold[shuffled]).all()
    assert (group_split(groups[:50], 0.2, 5, 1) == fold[:50]).all()
    assert (group_split(groups, 0.2, 5, 2) != fold).any()


def test_a_test_part_given_by_name_is_held_out_and_the_rest_is_dealt_as_usual():
    groups = np.array([f"d{i}" for i in range(12)] * 2)
    named = ["d3", "d7", "d8"]
    fold = group_split(groups, 0, 3, 5, named)
    assert sorted(set(groups[fold == TEST])) == named
    assert [len(set(groups[fold == f])) for f in range(3)] == [3, 3, 3]
    assert all(len(set(fold[groups == g])) == 1 for g in groups)
    for wrong in (["d3", "d12"], []):
        with pytest.raises(ProbeError, match="no such groups"):
            group_split(groups, 0, 3, 5, wrong)
    with pytest.raises(ProbeError, match="must be 0"):
        group_split(groups, 0.5, 3, 5, named)


def test_split_is_the_same_on_every_machine_and_version():
    assert group_split(list("abcdefghij"), 0.2, 2, 7).tolist() == [-1, 1, 0, 1, 0, 0, 1, 1, 0, -1]


@pytest.mark.parametrize(
    ("groups", "fraction", "folds"), [(10, 1.0, 2), (10, 0.01, 2), (4, 0.5, 3), (10, -0.1, 2), (10, 0, 0)]
)
def test_splits_that_cannot_be_are_refused(groups, fraction, folds):
    with pytest.raises(ProbeError):
        group_split(np.arange(groups), fraction, folds, 0)


def test_donors_are_a_permutation_that_moves_whole_groups():
    codes = np.random.default_rng(0).permutation(np.repeat(np.arange(30), 4))
    donors = shuffled_donors(codes, seed=0, shuffle=0)
    assert sorted(donors) == list(range(120))
    assert all(len(set(codes[donors[codes == g]])) == 1 for g in range(30))
    assert (codes[donors] != codes).mean() > 0.8
    assert (shuffled_donors(codes, 0, 1) != donors).any()


def _unequal(groups: int = 30) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.permutation(np.repeat(np.arange(groups), rng.integers(1, 9, groups)))


def test_a_group_of_another_size_gets_the_targets_of_one_group_of_nearly_its_size():
    codes = _unequal()
    sizes = np.bincount(codes)
    for shuffle in range(20):
        donors = shuffled_donors(codes, 0, shuffle)
        for group in range(30):
            (donor,) = {*codes[donors[codes == group]].tolist()}
            rows = donors[codes == group]
            assert len(set(rows.tolist())) == min(sizes[group], sizes[donor])
            assert abs(sizes[group] - sizes[donor]) <= 4
            assert donor != group
    assert len({shuffled_donors(codes, 0, k).tobytes() for k in range(50)}) == 50


@pytest.mark.parametrize("seed", [0, 3])
def test_the_first_permutation_moves_groups_as_any_other(seed):
    """Its random numbers were those that break ties of size, so that it left nine rows of ten where they were."""
    codes = np.repeat(np.arange(600), np.random.default_rng(0).integers(5, 15, 600))
    moves = GroupMoves.of(codes, seed)
    kept = [float((codes[moves.donors(number)] == codes).mean()) for number in range(8)]
    assert max(kept) < 0.2


def test_a_copy_without_the_rows_own_targets_is_unrelated_to_them():
    """Where one group in eight kept its targets, a copy was correlated by an eighth with what it was to be without."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(600), rng.integers(5, 15, 600))
    target = rng.normal(size=len(codes))
    related = [np.corrcoef(target, target[shuffled_donors(codes, 0, k)])[0, 1] for k in range(40)]
    assert abs(np.mean(related)) < 0.01


def test_permuted_sums_over_unequal_groups_vary_as_those_of_other_noise():
    """Dealt out row after row, the groups' targets were parted, and a sum over groups varied by a quarter less."""
    rng = np.random.default_rng(2)
    codes = np.sort(_unequal(60))
    mark = rng.normal(size=60)[codes]
    ratio = []
    for _ in range(60):
        target = rng.normal(size=60)[codes]
        target -= target.mean()
        sums = [mark @ target[GroupMoves.of(codes, 0).donors(k)] for k in range(60)]
        ratio.append(np.var(sums))
    fresh = [mark @ (value - value.mean()) for value in (rng.normal(size=60)[codes] for _ in range(2000))]
    assert 0.85 < np.mean(ratio) / np.var(fresh) < 1.2


@pytest.mark.parametrize(("blocks", "ranks"), [(7, 2), (1, 4), (0, 2), (8, 4)])
def test_every_rank_makes_as_many_steps_and_every_block_comes_once(blocks, ranks):
    shares = [share(list(range(blocks)), rank, ranks) for rank in range(ranks)]
    assert len({len(s) for s in shares}) == 1
    assert len(shares[0]) >= 1
    assert sorted(i for s in shares for i in s if i >= 0) == list(range(blocks))


def test_a_balanced_test_part_has_its_share_of_every_class():
    """12 classes of 20 groups: at random some class has too few test groups for an interval, balanced none has."""
    groups = np.array([f"g{i}" for i in range(240) for _ in range(2)])
    classes = np.eye(12, dtype=bool)[np.repeat(np.arange(240) % 12, 2)]
    fewest = lambda part: min(len(set(groups[(part == TEST) & member])) for member in classes.T)  # noqa: E731
    seed = next(s for s in range(50) if fewest(group_split(groups, 0.3, 5, s)) < 5)
    part = group_split(groups, 0.3, 5, seed)
    balanced = balanced_split(groups, classes, part, 5, seed)
    assert {len(set(groups[(balanced == TEST) & member])) for member in classes.T} == {6}
    assert all(len(set(balanced[groups == name])) == 1 for name in groups)
    np.testing.assert_array_equal(balanced, group_split(groups, 0.0, 5, seed, set(groups[balanced == TEST])))
    order = np.random.default_rng(0).permutation(len(groups))
    again = balanced_split(groups[order], classes[order], part[order], 5, seed)
    np.testing.assert_array_equal(again, balanced[order])


def test_a_test_part_with_enough_of_every_class_stays():
    groups = np.arange(100)
    classes = np.stack([groups % 2 == 0, groups % 2 == 1], 1)
    assert balanced_split(groups, classes, group_split(groups, 0.3, 5, 0), 5, 0) is None


def test_a_class_that_has_too_few_groups_anyway_changes_nothing_for_the_worse():
    groups = np.arange(60)
    classes = np.stack([groups < 2, groups >= 2], 1)
    part = group_split(groups, 0.3, 5, 1)
    balanced = balanced_split(groups, classes, part, 5, 1)
    assert balanced is None or (balanced == TEST)[groups < 2].sum() == 1
