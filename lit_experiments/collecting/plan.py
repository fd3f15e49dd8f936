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
        group: samples of one group are wanted together or not at all, and a limit counts groups; "" is no group.
        company: samples of one stage and company are packed into batches among themselves, wanted or not, so that no
            number depends on how many are wanted; None packs whatever is wanted.
    """

    sample_id: str
    index: int
    tokens: int
    payload: Any
    lengths: dict[str, int] = field(default_factory=dict)
    stage: str = ""
    group: str = ""
    company: int | None = None


@dataclass(frozen=True)
class Batch:
    """Samples that go through the model together. `index` is its place in the plan.

    samples: those whose rows are wanted. together: everything that is computed at once, in its order.
    """

    index: int
    samples: tuple[Sample, ...]
    together: tuple[Sample, ...]

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model holds, padding included."""
        return len(self.together) * max(s.tokens for s in self.together)


def first_groups(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """The samples of the first `limit` groups, in the order in which groups first appear; None keeps all."""
    groups = list(dict.fromkeys(s.group or s.sample_id for s in samples))
    kept = set(groups[:limit])
    return [s for s in samples if (s.group or s.sample_id) in kept]


def plan_batches(
    samples: Sequence[Sample], max_tokens: int, max_samples: int | None, others: Sequence[Sample] = ()
) -> list[Batch]:
    """Packs samples stage by stage, longest first, so that no batch holds more than `max_tokens` with its padding.

    A sample larger than the budget travels alone. Longest first: if memory is short, it shows at once.

    Args:
        others: samples that are not wanted; those in the company of wanted ones take their places next to them.
    """
    wanted = {s.sample_id for s in samples}
    companies = {(s.stage, s.company) for s in samples if s.company is not None}
    everyone = [*samples, *(s for s in others if (s.stage, s.company) in companies and s.sample_id not in wanted)]
    packed = (
        (tuple(s for s in group if s.sample_id in wanted), tuple(group))
        for group in _packed(everyone, max_tokens, max_samples)
    )
    return [Batch(i, *pair) for i, pair in enumerate(pair for pair in packed if pair[0])]


def _packed(samples: Sequence[Sample], max_tokens: int, max_samples: int | None) -> list[list[Sample]]:
    stages = {stage: number for number, stage in enumerate(dict.fromkeys(s.stage for s in samples))}
    ordered = sorted(samples, key=lambda s: (stages[s.stage], s.company or 0, -s.tokens, s.index))
    groups: list[list[Sample]] = []
    for sample in ordered:
        group = groups[-1] if groups else []
        alike = bool(group) and (group[0].stage, group[0].company) == (sample.stage, sample.company)
        fits = alike and (len(group) + 1) * group[0].tokens <= max_tokens
        if fits and (max_samples is None or len(group) < max_samples):
            group.append(sample)
        else:
            groups.append([sample])
    return groups


def pending(batches: Sequence[Batch], done: Collection[str]) -> list[Batch]:
    """The batches that hold samples without a committed row, with those samples alone as wanted.

    Samples that have a company are computed in it again; others go through the model by themselves.
    """
    left = ((b, tuple(s for s in b.samples if s.sample_id not in done)) for b in batches)
    return [Batch(b.index, s, b.together if s[0].company is not None else s) for b, s in left if s]


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
