"""Planning: every sample in exactly one batch, the same batches whatever is done already, nobody left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_experiments.collecting.plan import Sample, pending, plan_batches, share


def samples(lengths: list[int]) -> list[Sample]:
    return [Sample(f"s{i}", i, n, None) for i, n in enumerate(lengths)]


sizes = st.lists(st.integers(1, 50), max_size=60)


@given(sizes, st.integers(1, 200), st.one_of(st.none(), st.integers(1, 9)))
def test_batches_partition_the_samples_within_the_budget(lengths: list[int], budget: int, most: int | None) -> None:
    batches = plan_batches(samples(lengths), budget, most)
    ids = sorted(s.index for b in batches for s in b.samples)
    assert ids == list(range(len(lengths)))
    for batch in batches:
        assert len(batch.samples) == 1 or batch.padded_tokens <= budget
        assert most is None or len(batch.samples) <= most


@given(sizes, st.integers(1, 5))
def test_every_pending_batch_has_exactly_one_process(lengths: list[int], world: int) -> None:
    batches = plan_batches(samples(lengths), 100, None)
    shares = [share(batches, rank, world) for rank in range(world)]
    assert sorted(b.index for mine in shares for b in mine) == list(range(len(batches)))


def test_with_fewer_batches_than_processes_some_have_none() -> None:
    batches = plan_batches(samples([5, 5]), 5, None)
    assert [len(share(batches, rank, 4)) for rank in range(4)] == [1, 1, 0, 0]


def test_shares_are_balanced_by_tokens_not_by_count() -> None:
    batches = plan_batches(samples([90, 10, 10, 10, 10, 10, 10, 10, 10, 10]), 10, None)
    loads = [sum(b.padded_tokens for b in share(batches, rank, 2)) for rank in range(2)]
    assert loads == [90, 90]


@given(sizes, st.data())
def test_what_is_done_leaves_the_other_batches_as_they_were(lengths: list[int], data: st.DataObject) -> None:
    batches = plan_batches(samples(lengths), 60, None)
    done = {b.index for b in batches if data.draw(st.booleans())}
    names = {s.sample_id for b in batches if b.index in done for s in b.samples}
    assert pending(batches, names) == [b for b in batches if b.index not in done]


def test_a_partly_done_batch_goes_on_with_the_rest() -> None:
    (batch,) = plan_batches(samples([3, 3, 3]), 9, None)
    (left,) = pending([batch], {"s1"})
    assert [s.sample_id for s in left.samples] == ["s0", "s2"]


@pytest.mark.parametrize("budget", [1, 7])
def test_a_sample_over_the_budget_travels_alone(budget: int) -> None:
    assert [len(b.samples) for b in plan_batches(samples([8, 8]), budget, None)] == [1, 1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50)), max_size=40), st.integers(1, 4))
def test_stages_are_never_mixed_and_come_one_after_the_other(drawn: list[tuple[str, int]], world: int) -> None:
    staged = [Sample(f"s{i}", i, n, None, stage=stage) for i, (stage, n) in enumerate(drawn)]
    batches = plan_batches(staged, 100, None)
    order = list(dict.fromkeys(stage for stage, _ in drawn))
    assert all(len({s.stage for s in b.samples}) == 1 for b in batches)
    for rank in range(world):
        mine = [order.index(b.samples[0].stage) for b in share(batches, rank, world)]
        assert mine == sorted(mine)
