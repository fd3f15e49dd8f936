"""Planning: every sample in exactly one batch, the same batches whatever is done already, nobody left out."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_experiments.collecting import sample_keys
from lit_experiments.collecting import samples as collecting_samples
from lit_experiments.collecting.plan import first_groups, pending, plan_batches, share
from lit_experiments.collecting.samples import Columns, ColumnSamples, Sample, totals, windows


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
    rows = np.zeros(len(lengths), bool)
    rows[[s.index for b in batches if b.index in done for s in b.samples]] = True
    assert list(pending(batches, rows)) == [b for b in batches if b.index not in done]


def test_a_partly_done_batch_goes_on_with_the_rest() -> None:
    batches = plan_batches(samples([3, 3, 3]), 9, None)
    assert len(batches) == 1
    (left,) = pending(batches, np.array([False, True, False]))
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


class Lazy(ColumnSamples):
    """The same samples as a list's, made when they are looked at."""

    def __init__(self, held: list[Sample]) -> None:
        self.held, self.made = held, 0

    def __len__(self) -> int:
        return len(self.held)

    def sample(self, number: int) -> Sample:
        self.made += 1
        return self.held[number]

    def columns(self, start: int, stop: int) -> Columns:
        ((_, columns),) = windows(self.held[start:stop])
        return columns


grouped = st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["", "g", "h"])), min_size=1, max_size=40)


@given(grouped, st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 4))
def test_samples_made_on_demand_are_planned_like_a_list_and_without_making_one(
    pairs: list[tuple[int, str]], limit: int | None, world: int
) -> None:
    listed = [Sample(f"s{i}", i, n, None, {"token": n}, group=group) for i, (n, group) in enumerate(pairs)]
    lazy = Lazy(listed)
    some, same = first_groups(lazy, limit), first_groups(listed, limit)
    batches, done = plan_batches(some, 100, 7), np.arange(len(same)) % 3 == 0
    mine = share(pending(batches, done), 0, world)
    assert totals(some, ~done) == totals(same, ~done)
    if limit is None:
        assert lazy.made == 0
    assert list(some) == list(same)
    assert list(mine) == list(share(pending(plan_batches(same, 100, 7), done), 0, world))


@pytest.mark.parametrize("stages", ["a", "ab"])
def test_very_many_samples_are_packed_window_by_window(monkeypatch: pytest.MonkeyPatch, stages: str) -> None:
    monkeypatch.setattr(sample_keys, "WINDOW", 8)
    monkeypatch.setattr(collecting_samples, "WINDOW", 5)
    rng = np.random.default_rng(0)
    listed = [
        Sample(f"s{i}", i, n, None, stage=stages[i % len(stages)])
        for i, n in enumerate(rng.integers(1, 30, 50).tolist())
    ]
    batches = plan_batches(listed, 60, None)
    staged = {stage: [s.index for s in listed if s.stage == stage] for stage in stages}
    where = {index: (s, place // 8) for s, indexes in staged.items() for place, index in enumerate(indexes)}
    of_batches = [{where[s.index] for s in batch.samples} for batch in batches]
    assert all(len(windows_of_batch) == 1 for windows_of_batch in of_batches)
    assert [next(iter(w)) for w in of_batches] == sorted(next(iter(w)) for w in of_batches)
    assert sorted(s.index for b in batches for s in b.samples) == list(range(50))


@given(sizes, st.integers(1, 7))
def test_processes_are_chosen_as_by_looking_for_the_least_loaded(lengths: list[int], world: int) -> None:
    batches = plan_batches(samples(lengths), 100, 4)
    loads, owner = [0] * world, {}
    for batch in sorted(batches, key=lambda b: (-b.padded_tokens, b.index)):
        owner[batch.index] = loads.index(min(loads))
        loads[owner[batch.index]] += batch.padded_tokens
    for rank in range(world):
        assert [b.index for b in share(batches, rank, world)] == [i for i in sorted(owner) if owner[i] == rank]


def test_a_plan_takes_few_bytes_a_sample() -> None:
    class Many(Lazy):
        def __len__(self) -> int:
            return 300_000

        def columns(self, start: int, stop: int) -> Columns:
            numbers = np.arange(start, stop)
            return Columns([""] * len(numbers), numbers, 1 + numbers * 7919 % 50, {})

    tracemalloc.start()
    try:
        batches = plan_batches(Many([]), 1000, None)
        left = pending(batches, np.arange(300_000) % 2 == 0)
        mine = share(left, 3, 1024)
        assert tracemalloc.get_traced_memory()[0] < 15 * 300_000
    finally:
        tracemalloc.stop()
    assert 0 < len(mine) < len(left) / 500
