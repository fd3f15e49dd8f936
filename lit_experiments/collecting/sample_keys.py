"""What decides the order of samples, as a few bytes each, and which samples are packed among themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.samples import WINDOW, Columns, Ints, Sample, windows

Places = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class SampleKeys:
    """[sample] each. stages: by number, in order of first appearance; None where there is one. companies: -1 for none;
    None where no sample has one. indexes: None where they grow with the place. names: of the stages.
    """

    tokens: NDArray[np.int32]
    stages: NDArray[np.int16] | None
    companies: Ints | None
    indexes: Ints | None
    names: list[str]

    def in_company(self, place: int) -> bool:
        """Whether a sample has a company."""
        return self.companies is not None and int(self.companies[place]) >= 0

    def companies_of(self, places: Places) -> NDArray[np.bool_]:
        """[place] whether each has a company."""
        return np.zeros(len(places), bool) if self.companies is None else self.companies[places] >= 0


def read_keys(samples: Sequence[Sample]) -> SampleKeys:
    """Looks at every sample, again where they have companies or stand in another order than their indexes."""
    tokens, stages = np.empty(len(samples), np.int32), np.zeros(len(samples), np.int16)
    numbers: dict[str, int] = {}
    together, sorted_, last = False, True, -1
    for start, columns in windows(samples):
        here = slice(start, start + len(columns.ids))
        tokens[here] = columns.tokens
        if columns.stages is None:
            stages[here] = numbers.setdefault("", len(numbers))
        else:
            stages[here] = [numbers.setdefault(name, len(numbers)) for name in columns.stages]
        together = together or columns.companies is not None
        sorted_ = sorted_ and bool(np.all(np.diff(columns.indexes, prepend=last) > 0))
        last = int(columns.indexes[-1])
    return SampleKeys(
        tokens,
        stages if len(numbers) > 1 else None,
        np.concatenate([_companies(columns) for _, columns in windows(samples)]) if together else None,
        None if sorted_ else np.concatenate([columns.indexes for _, columns in windows(samples)]),
        list(numbers),
    )


def _companies(columns: Columns) -> Ints:
    return np.full(len(columns.ids), -1, np.int64) if columns.companies is None else columns.companies


def units(keys: SampleKeys) -> Iterator[Places]:
    """Places of the samples that are packed among themselves, longest first: a company, or a window of a stage."""
    for stage in range(len(keys.names)):
        members: Places = np.arange(len(keys.tokens), dtype=np.int32)
        if keys.stages is not None:
            members = np.flatnonzero(keys.stages == stage)
        if keys.companies is None:
            parts = [members[start : start + WINDOW] for start in range(0, len(members), WINDOW)]
        else:
            by_company = members[np.argsort(keys.companies[members], kind="stable")]
            parts = np.split(by_company, np.flatnonzero(np.diff(keys.companies[by_company])) + 1)
        for part in parts:
            ties = part if keys.indexes is None else keys.indexes[part]
            yield part[np.lexsort((ties, -keys.tokens[part]))]
