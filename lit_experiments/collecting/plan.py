"""Samples, batches, and which process does which batch. Pure functions: no model, no store, no clock.

Batches are planned once over all samples and never depend on what is already done or on the number of processes.
A batch is the unit of work: its rows are committed together. So every sample is computed in the same company on one
device or eight, and after any number of interruptions; that is what makes the stored numbers the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One thing to visit.

    Attributes:
        sample_id: stable, readable, unique within the run; the row in the store carries it.
        index: position in the experiment's own order; readers present rows in it.
        tokens: tokens that the model holds for this sample at most (length x draws): its share of a batch's budget.
        payload: whatever the collector needs.
        lengths: the sample's length along each ragged dim that is known before the model runs (for size estimates).
        stage: samples of one stage are visited together, stages in the order in which they first appear.
    """

    sample_id: str
    index: int
    tokens: int
    payload: Any
    lengths: dict[str, int] = field(default_factory=dict)
    stage: str = ""


@dataclass(frozen=True)
class Batch:
    """Samples that go through the model together. `index` is its place in the plan."""

    index: int
    samples: tuple[Sample, ...]

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model holds, padding included."""
        return len(self.samples) * max(s.tokens for s in self.samples)


def plan_batches(samples: Sequence[Sample], max_tokens: int, max_samples: int | None) -> list[Batch]:
    """Packs samples stage by stage, longest first, so that no batch holds more than `max_tokens` with its padding.

    A sample larger than the budget travels alone. Longest first: if memory is short, it shows at once.
    """
    stages = {stage: number for number, stage in enumerate(dict.fromkeys(s.stage for s in samples))}
    ordered = sorted(samples, key=lambda s: (stages[s.stage], -s.tokens, s.index))
    groups: list[list[Sample]] = []
    for sample in ordered:
        group = groups[-1] if groups else []
        fits = bool(group) and group[0].stage == sample.stage and (len(group) + 1) * group[0].tokens <= max_tokens
        if fits and (max_samples is None or len(group) < max_samples):
            group.append(sample)
        else:
            groups.append([sample])
    return [Batch(i, tuple(group)) for i, group in enumerate(groups)]


def pending(batches: Sequence[Batch], done: Collection[str]) -> list[Batch]:
    """The batches, or the rest of them, that hold samples without a committed row."""
    left = (Batch(b.index, tuple(s for s in b.samples if s.sample_id not in done)) for b in batches)
    return [b for b in left if b.samples]


def share(batches: Sequence[Batch], rank: int, world_size: int) -> list[Batch]:
    """The batches of one process, balanced by padded tokens; none when there are fewer batches than processes.

    Largest first to the least loaded process (LPT); each process then goes in the order of the plan. Every process
    computes the same assignment.
    """
    load = [0] * world_size
    mine: list[Batch] = []
    for batch in sorted(batches, key=lambda b: (-b.padded_tokens, b.index)):
        target = load.index(min(load))
        load[target] += batch.padded_tokens
        if target == rank:
            mine.append(batch)
    return sorted(mine, key=lambda b: b.index)
