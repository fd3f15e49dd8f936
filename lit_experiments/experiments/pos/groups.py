"""What counts as independent in study 5: documents, or sentences where there are too few documents.

A document's words are alike, so documents are what is split and resampled. Many treebanks name none, or one per file;
a whole part would then be a single group, which has no spread. Its sentences are resampled instead, and reports say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lit_experiments.sources.documents import NONE, SOURCES
from lit_experiments.statistics import LEAST_GROUPS

DOCUMENTS, SENTENCES = "documents", "sentences"


@dataclass(frozen=True)
class Place:
    """Where something stands: part of the treebank, document, what names the document, sentence."""

    part: str
    doc_id: str
    doc_from: str
    sent_id: str


@dataclass(frozen=True)
class Groups:
    """names: [row] group of each row, "part/document" or "part/sentence". unit: `DOCUMENTS` or `SENTENCES`.
    documents: how many there are. scarce: whether sentences stand in for documents that are too few."""

    names: NDArray[np.str_]
    unit: str
    documents: int
    scarce: bool

    @property
    def count(self) -> int:
        return len(set(self.names.tolist()))

    def __str__(self) -> str:
        return f"{self.count:,} {self.unit if self.count != 1 else self.unit.removesuffix('s')}"

    def where(self, rows: NDArray[np.bool_]) -> Groups:
        """Those of some rows."""
        names = self.names[rows]
        return replace(self, names=names, documents=self.documents if self.scarce else len(set(names.tolist())))


def groups_of(places: Sequence[Place], enough: Callable[[int], bool] = lambda count: count >= LEAST_GROUPS) -> Groups:
    """The groups of rows at these places.

    enough: whether so many documents will do; if not, every sentence is a group.
    """
    documents = np.array([f"{place.part}/{place.doc_id}" for place in places], str)
    count = len(set(documents.tolist()))
    if all(place.doc_from == NONE for place in places):
        return Groups(documents, DOCUMENTS if not count else SENTENCES, count, False)
    if enough(count):
        return Groups(documents, DOCUMENTS, count, False)
    return Groups(np.array([f"{place.part}/{place.sent_id}" for place in places], str), SENTENCES, count, True)


def origin(documents: Iterable[tuple[str, str]]) -> str:
    """How many documents there are by each rule, for people; from pairs (what names it, document)."""
    counts = Counter(source for source, _ in set(documents))
    return ", ".join(f"{count:,} by {SOURCES[source]}" for source, count in counts.most_common()) or "none"


def too_few(groups: Mapping[str, Groups]) -> list[str]:
    """What a report has to say where sentences stand in for documents, by the name of the part; nothing elsewhere."""
    scarce = ", ".join(f"{name} {part.documents}" for name, part in groups.items() if part.scarce)
    if not scarce:
        return []
    return [
        f"Too few documents to resample ({scarce}): sentences are split and resampled in their place. Sentences of one "
        "document are alike, so the intervals are narrower than they would be over documents."
    ]
