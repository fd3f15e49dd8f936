"""What a collection visits, one by one or as columns of numbers.

Planning, resuming and counting look at columns of a window of samples at a time, so that millions of samples need not
be in memory. Knows no model, no store.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

WINDOW = 1 << 17
"""Samples that are looked at together. Samples without a company are packed within windows of their stage."""

Ints = NDArray[np.int64]


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
        group: samples of one group are selected together or not at all, and a limit counts groups; "" is no group.
        company: samples of one stage and company are packed into batches among themselves, selected or not, so that no
            number depends on how many are selected; None packs whatever is selected.
    """

    sample_id: str
    index: int
    tokens: int
    payload: Any
    lengths: dict[str, int] = field(default_factory=dict)
    stage: str = ""
    group: str = ""
    company: int | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Some samples but for their payloads, [sample] each; see `Sample`. stages, groups: None where all are "";
    companies: None where no sample has one, else -1 for those without.
    """

    ids: list[str]
    indexes: Ints
    tokens: Ints
    lengths: dict[str, Ints]
    stages: list[str] | None = None
    groups: list[str] | None = None
    companies: Ints | None = None


class ColumnSamples(Sequence[Sample]):
    """Samples that are made when they are looked at, and whose columns are known without making them."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return ChosenSamples(self, np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.sample(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(number) for number in range(len(self)))

    @abstractmethod
    def sample(self, number: int) -> Sample:
        """One of them, by its place from 0."""

    @abstractmethod
    def columns(self, start: int, stop: int) -> Columns:
        """Those from `start` to before `stop`."""


class ChosenSamples(ColumnSamples):
    """Some of other samples, by their places there."""

    def __init__(self, samples: ColumnSamples, places: NDArray[np.integer[Any]]) -> None:
        self._samples, self._places = samples, places

    def __len__(self) -> int:
        return len(self._places)

    def sample(self, number: int) -> Sample:
        return self._samples.sample(int(self._places[number]))

    def columns(self, start: int, stop: int) -> Columns:
        places = self._places[start:stop]
        if len(places) and bool(np.all(np.diff(places) == 1)):
            return self._samples.columns(int(places[0]), int(places[-1]) + 1)
        return _columns([self._samples.sample(place) for place in places.tolist()])


@dataclass(frozen=True)
class Totals:
    """Sums over samples. lengths: by ragged dim; stages: samples by stage, in order of first appearance."""

    samples: int
    tokens: int
    lengths: dict[str, int]
    stages: dict[str, int]


def windows(samples: Sequence[Sample]) -> Iterator[tuple[int, Columns]]:
    """(place of the first, columns) of consecutive samples."""
    for start in range(0, len(samples), WINDOW):
        stop = min(start + WINDOW, len(samples))
        if isinstance(samples, ColumnSamples):
            yield start, samples.columns(start, stop)
        else:
            yield start, _columns(samples[start:stop])


def totals(samples: Sequence[Sample], mask: NDArray[np.bool_] | None = None) -> Totals:
    """Of all samples, or of those in a mask [sample]."""
    count, tokens, lengths, stages = 0, 0, Counter[str](), Counter[str]()
    for start, columns in windows(samples):
        chosen = np.ones(len(columns.ids), bool) if mask is None else mask[start : start + len(columns.ids)]
        number = int(chosen.sum())
        count += number
        tokens += int(columns.tokens[chosen].sum())
        lengths.update({dim: int(values[chosen].sum()) for dim, values in columns.lengths.items()})
        if columns.stages is None:
            stages.update({"": number} if number else {})
        else:
            stages.update(stage for stage, taken in zip(columns.stages, chosen.tolist(), strict=True) if taken)
    return Totals(count, tokens, dict(lengths), dict(stages))


def _columns(samples: Sequence[Sample]) -> Columns:
    dims = dict.fromkeys(dim for s in samples for dim in s.lengths)
    companies = [-1 if s.company is None else s.company for s in samples]
    return Columns(
        [s.sample_id for s in samples],
        np.array([s.index for s in samples], np.int64),
        np.array([s.tokens for s in samples], np.int64),
        {dim: np.array([s.lengths.get(dim, 0) for s in samples], np.int64) for dim in dims},
        [s.stage for s in samples] if any(s.stage for s in samples) else None,
        [s.group for s in samples] if any(s.group for s in samples) else None,
        np.array(companies, np.int64) if any(s.company is not None for s in samples) else None,
    )
