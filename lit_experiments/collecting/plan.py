"""Batches, and which process does which batch. Pure functions: no model, no store, no clock.

Batches are planned once over all samples and never depend on what is already done or on the number of processes.
A batch is the unit of work: its rows are committed together. So every sample is computed in the same company on one
device or eight, and after any number of interruptions; that is what makes the stored numbers the same.

A plan holds a few bytes a sample; a batch is made when it is looked at.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.sample_keys import SampleKeys, read_keys, units
from lit_experiments.collecting.samples import ChosenSamples, ColumnSamples, Ints, Sample, windows

__all__ = ["Batch", "Batches", "Sample", "first_groups", "pending", "plan_batches", "share"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Samples that go through the model together. `index` is its place in the plan.

    samples: those whose rows are selected. together: everything that is computed at once, in its order. places: of
    `samples`, in the plan's. lacking: of a store that was extended, which pieces lack the row of each of `samples`.
    """

    index: int
    samples: tuple[Sample, ...]
    together: tuple[Sample, ...]
    places: tuple[int, ...] = ()
    lacking: tuple[tuple[int, ...], ...] = ()

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model holds, padding included."""
        return len(self.together) * max(s.tokens for s in self.together)


@dataclass(frozen=True, eq=False)
class Packing:
    """All samples in the order of their batches.

    samples: those of the plan, then others that complete their companies. keys: of all these. order: their places,
    batch by batch; starts: where each batch begins in it, and its end.
    """

    samples: Sequence[Sample]
    keys: SampleKeys
    order: NDArray[np.int32]
    starts: Ints


class Batches(Sequence[Batch]):
    """Batches of one packing, made when they are looked at: those that hold selected samples, or some of these.

    selected: [sample of the packing] whether its row is to be written. numbers: which batches, by their places in the
    packing.
    """

    def __init__(self, packing: Packing, selected: Mask, numbers: Ints | None = None) -> None:
        self.packing, self.selected = packing, selected
        if numbers is None:
            starts = packing.starts[:-1]
            numbers = np.flatnonzero(np.logical_or.reduceat(selected[packing.order], starts)) if len(starts) else starts
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Batches: ...

    def __getitem__(self, index: int | slice) -> Batch | Batches:
        if isinstance(index, slice):
            return Batches(self.packing, self.selected, self.numbers[index])
        packing, number = self.packing, int(self.numbers[index])
        places = packing.order[packing.starts[number] : packing.starts[number + 1]].tolist()
        kept = tuple(place for place in places if self.selected[place])
        samples = tuple(packing.samples[place] for place in kept)
        in_company = packing.keys.in_company(places[0])
        together = tuple(packing.samples[place] for place in places) if in_company else samples
        return Batch(number, samples, together, kept)

    def padded_tokens(self) -> Ints:
        """[batch] as each batch has it."""
        packing = self.packing
        if not len(packing.starts[:-1]):
            return np.empty(0, np.int64)
        held = self.selected[packing.order] | packing.keys.companies_of(packing.order)
        tokens = np.where(held, packing.keys.tokens[packing.order], 0)
        longest = np.maximum.reduceat(tokens, packing.starts[:-1])[self.numbers]
        count = np.add.reduceat(held, packing.starts[:-1], dtype=np.int64)[self.numbers]
        return longest.astype(np.int64) * count


def first_groups(samples: Sequence[Sample], limit: int | None) -> Sequence[Sample]:
    """The samples of the first `limit` groups, in the order in which groups first appear; None keeps all."""
    if limit is None:
        return samples
    kept: set[str] = set()
    places: list[NDArray[np.int32]] = []
    for start, columns in windows(samples):
        groups = columns.groups or itertools.repeat("")
        chosen = []
        for place, (name, group) in enumerate(zip(columns.ids, groups, strict=False), start):
            key = group or name
            if key not in kept and len(kept) < limit:
                kept.add(key)
            if key in kept:
                chosen.append(place)
        places.append(np.array(chosen, np.int32))
    chosen_places = np.concatenate([np.empty(0, np.int32), *places])
    if isinstance(samples, ColumnSamples):
        return ChosenSamples(samples, chosen_places)
    return [samples[place] for place in chosen_places.tolist()]


def plan_batches(
    samples: Sequence[Sample], max_tokens: int, max_samples: int | None, others: Iterable[Sample] = ()
) -> Batches:
    """Packs samples stage by stage, longest first, so that no batch holds more than `max_tokens` with its padding.

    A sample larger than the budget travels alone. Longest first: if memory is short, it shows at once. Of very many
    samples that have no company, those of a window of the stage are packed together.

    Args:
        others: samples that are not selected; those in the company of selected ones take their places next to them.
    """
    keys, everyone = read_keys(samples), samples
    if keys.companies is not None:
        selected_ids = {s.sample_id for s in samples}
        companies = {(s.stage, s.company) for s in samples if s.company is not None}
        beside = (s for s in others if (s.stage, s.company) in companies and s.sample_id not in selected_ids)
        everyone = [*samples, *beside]
        keys = read_keys(everyone)
    order = np.empty(len(everyone), np.int32)
    starts, filled = [0], 0
    for unit in units(keys):
        order[filled : filled + len(unit)] = unit
        starts += [filled + end for end in _ends(keys.tokens[unit], max_tokens, max_samples)]
        filled += len(unit)
    selected = np.arange(len(everyone)) < len(samples)
    return Batches(Packing(everyone, keys, order, np.array(starts, np.int64)), selected)


def _ends(tokens: NDArray[np.integer[Any]], max_tokens: int, max_samples: int | None) -> Iterator[int]:
    """Where the batches of samples end that come longest first."""
    start = 0
    most = len(tokens) if max_samples is None else max_samples
    while start < len(tokens):
        longest = int(tokens[start])
        room = max(1, max_tokens // longest) if longest else len(tokens)
        start = min(len(tokens), start + min(room, most))
        yield start


def pending(batches: Batches, done: Mask) -> Batches:
    """The batches that hold samples without a committed row, with those samples alone selected.

    Samples that have a company are computed in it again; others go through the model by themselves.

    Args:
        done: [sample of the plan] whether its row is committed.
    """
    selected = batches.selected.copy()
    selected[: len(done)] &= ~done
    return Batches(batches.packing, selected)


def share(batches: Batches, rank: int, world_size: int) -> Batches:
    """The batches of one process, balanced by padded tokens; none when there are fewer batches than processes.

    Largest first to the least loaded process (LPT); each process then goes in the order of the plan. Every process
    computes the same assignment.
    """
    if world_size == 1:
        return batches
    tokens = batches.padded_tokens()
    loads = [(0, process) for process in range(world_size)]
    mine = np.zeros(len(batches), bool)
    for place in np.argsort(-tokens, kind="stable").tolist():
        load, process = loads[0]
        heapq.heapreplace(loads, (load + int(tokens[place]), process))
        mine[place] = process == rank
    return Batches(batches.packing, batches.selected, batches.numbers[mine])
