"""A run that grows: whole groups, and every sample in the company that it would have had in the larger run."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_experiments.collecting.plan import Batch, Sample, first_groups, pending, plan_batches
from lit_experiments.collecting.subset import rows_of
from stores import Column, Field, Records, Schema

COMPANY = 5


def samples(lengths: list[int]) -> list[Sample]:
    """Two stages of one question each, five questions to a company."""
    made = [(stage, i, n) for stage in "ab" for i, n in enumerate(lengths)]
    return [
        Sample(f"q{i}/{stage}", k, n, None, {}, stage, f"q{i}", i // COMPANY) for k, (stage, i, n) in enumerate(made)
    ]


def together(batches: Sequence[Batch]) -> dict[str, tuple[str, ...]]:
    """Each wanted sample's neighbours, itself among them, in their order."""
    return {s.sample_id: tuple(t.sample_id for t in b.together) for b in batches for s in b.samples}


sizes = st.lists(st.integers(1, 30), min_size=1, max_size=24)


@given(sizes, st.integers(0, 24), st.integers(1, 120), st.one_of(st.none(), st.integers(1, 4)))
def test_a_sample_s_neighbours_do_not_depend_on_how_many_are_wanted(
    lengths: list[int], number: int, budget: int, most: int | None
) -> None:
    everyone = samples(lengths)
    selected = first_groups(everyone, number)
    few = together(plan_batches(selected, budget, most, everyone))
    everything = together(plan_batches(everyone, budget, most))
    assert set(few) == {s.sample_id for s in selected}
    assert all(everything[name] == neighbours for name, neighbours in few.items())


@given(sizes, st.integers(1, 10), st.integers(1, 10))
def test_what_is_left_is_computed_in_the_same_company_and_only_it_is_kept(
    lengths: list[int], first: int, second: int
) -> None:
    everyone = samples(lengths)
    done = {s.sample_id for s in first_groups(everyone, first)}
    selected = first_groups(everyone, first + second)
    batches = plan_batches(selected, 60, None, everyone)
    rest = pending(batches, np.array([s.sample_id in done for s in selected]))
    assert {s.sample_id for b in rest for s in b.samples} == {s.sample_id for b in batches for s in b.samples} - done
    assert together(rest).items() <= together(batches).items()


def test_a_limit_counts_groups_and_keeps_them_whole() -> None:
    everyone = samples([3, 4, 5])
    assert [s.sample_id for s in first_groups(everyone, 2)] == ["q0/a", "q1/a", "q0/b", "q1/b"]
    assert first_groups(everyone, None) == everyone
    alone = [Sample(f"s{i}", i, 1, None) for i in range(4)]
    assert [s.sample_id for s in first_groups(alone, 3)] == ["s0", "s1", "s2"]


def test_samples_without_a_company_never_wait_for_others() -> None:
    alone = [Sample(f"s{i}", i, 5, None) for i in range(4)]
    batches = plan_batches(alone[:2], 100, None, alone)
    (batch,) = batches
    assert batch.together == batch.samples == tuple(alone[:2])
    (rest,) = pending(batches, np.array([True, False]))
    assert rest.together == rest.samples == (alone[1],)


@pytest.mark.parametrize("kept", [[], [1], [0, 2], [0, 1, 2]])
def test_rows_are_taken_out_with_everything_that_is_theirs(kept: list[int]) -> None:
    schema = Schema(
        (
            Field("states", ("layer", "token", "hidden"), (2, None, 4), "float16", "", ""),
            Field("draws", ("sample", "draw"), (None, 3), "int32", "", ""),
        ),
        (Column("name", "string", ""),),
        {"layer": ["a", "b"]},
    )
    lengths, rng = np.array([2, 0, 3]), np.random.default_rng(0)
    states, exponents = rng.normal(size=(2, 5, 4)).astype(np.float16), rng.integers(0, 3, (2, 5)).astype(np.int8)
    rows = [{"sample_id": f"s{i}", "sample_index": i, "name": "x"} for i in range(3)]
    draws = np.arange(9, dtype=np.int32).reshape(3, 3)
    arrays = {"states": states, "draws": draws}
    records = rows_of(Records(rows, arrays, {"token": lengths}, {"states": exponents}), {f"s{i}" for i in kept}, schema)
    tokens = np.concatenate([np.arange(0), *(np.arange([0, 2, 2][i], [2, 2, 5][i]) for i in kept)]).astype(int)
    assert [row["sample_id"] for row in records.rows] == [f"s{i}" for i in kept]
    np.testing.assert_array_equal(records.arrays["states"], states[:, tokens])
    np.testing.assert_array_equal(records.exponents["states"], exponents[:, tokens])
    np.testing.assert_array_equal(records.arrays["draws"], draws[kept])
    np.testing.assert_array_equal(records.lengths["token"], lengths[kept])
