"""Which texts say the same: exact copies, near copies, and texts of one template, as groups that no split may part.

Owns: what counts as a copy. Near copies are found by MinHash over word n-grams and confirmed on the n-grams themselves;
templates by MinHash over word pairs, confirmed by aligning the words. Of millions of texts a few numbers each are held.
Does not know: splits, labels, stores.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lit_experiments.sources.minhash import Grams, candidates

Ints = NDArray[np.int64]
_WORD = re.compile(r"\w+|[^\w\s]")
_KEPT = 1 << 12
"""Texts whose words are kept, while pairs of them are aligned."""
_LEAST_WORDS = 4
"""Shorter texts have no template: two of them share most of their words by chance."""


@dataclass(frozen=True)
class Likeness:
    """When two texts belong together.

    near: Jaccard similarity of their word n-grams from which they are near copies. template: share of words in common,
    in order, from which they are of one template; None looks for no templates. words: of an n-gram.
    """

    near: float
    template: float | None
    words: int = 3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ContentGroups:
    """group [text]: the number of its group, from 0 in order of first appearance. copies, near, templates: how many
    texts are joined to an earlier one as exact copies, near copies, and by a template alone."""

    group: Ints
    copies: int
    near: int
    templates: int


def content_groups(texts: Sequence[str], likeness: Likeness) -> ContentGroups:
    """Groups of texts with the same content; the order of texts decides only the groups' numbers."""
    distinct, code = _distinct(texts)
    words = _Words(texts, distinct)
    union = _Union(len(distinct))
    near = _join_near_copies(union, words, likeness)
    templates = 0
    if likeness.template is not None:
        templates = sum(union.join(a, b) for a, b in _templates(words, likeness))
    _, start, codes = np.unique(union.roots()[code], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(start, kind="stable"), kind="stable")
    return ContentGroups(rank[codes].astype(np.int64), len(texts) - len(distinct), near, templates)


def united(*groupings: Sequence[str] | Ints | NDArray[np.str_]) -> Ints:
    """[row] groups in which two rows are together wherever any of the groupings has them together."""
    union = _Union(len(groupings[0]))
    for grouping in groupings:
        first: dict[object, int] = {}
        for row, name in enumerate(np.asarray(grouping).tolist()):
            union.join(first.setdefault(name, row), row)
    roots = union.roots()  # of each set, its first row
    return np.searchsorted(np.flatnonzero(roots == np.arange(len(roots))), roots).astype(np.int64)


def _distinct(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """([distinct text] the place of the first like it, [text] which of these it is), but for spaces and case; by 128
    bits of a hash, so that no text is held."""
    digests = bytearray()
    for text in texts:
        digests += hashlib.blake2b(_normal(text).encode(), digest_size=16).digest()
    halves = np.frombuffer(digests, np.dtype([("a", np.uint64), ("b", np.uint64)]))
    _, first, code = np.unique(halves, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[code].astype(np.int64)


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()


class _Words(Sequence[list[str]]):
    """The words of the distinct texts, found when they are looked at."""

    def __init__(self, texts: Sequence[str], places: Ints) -> None:
        self._texts, self._places = texts, places
        self.of = lru_cache(_KEPT)(self._of)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[str]]: ...

    def __getitem__(self, index: int | slice) -> list[str] | list[list[str]]:
        if isinstance(index, slice):
            return [self._of(number) for number in range(*index.indices(len(self)))]
        return self._of(index)

    def _of(self, number: int) -> list[str]:
        return _WORD.findall(_normal(self._texts[int(self._places[number])]))


def _join_near_copies(union: _Union, words: _Words, likeness: Likeness) -> int:
    """How many texts were joined. A pair that is together already is not looked at: it could join nothing."""
    grams, joined = Grams.of(words, likeness.words), 0
    for pairs in candidates(grams, 16, 4, likeness.seed):
        for a, b in pairs.tolist():
            if union.root(a) != union.root(b) and grams.jaccard(a, b) >= likeness.near:
                joined += union.join(a, b)
    return joined


def _templates(words: _Words, likeness: Likeness) -> Iterator[tuple[int, int]]:
    """Every text next to the one leader that it is most alike: leaders are not joined, so that likeness does not creep
    from text to text through a whole corpus."""
    assert likeness.template is not None
    grams, count = Grams.of(words, 2, least=_LEAST_WORDS), len(words)
    like_pairs = np.zeros(0, np.int64)  # later text * count + earlier text
    for pairs in candidates(grams, 32, 2, likeness.seed):
        like_pairs = np.union1d(like_pairs, pairs[:, 1] * count + pairs[:, 0])
    del grams
    leader, most = np.full(count, -1), np.zeros(count)
    for pair in like_pairs:
        later, earlier = divmod(int(pair), count)
        if leader[earlier] < 0:
            alike = _aligned(words.of(earlier), words.of(later), likeness.template)
            if alike >= likeness.template and alike > most[later]:
                leader[later], most[later] = earlier, alike
    joined = np.flatnonzero(leader >= 0)
    yield from zip(leader[joined].tolist(), joined.tolist(), strict=True)


def _aligned(a: Sequence[str], b: Sequence[str], least: float) -> float:
    """Share of words that two texts have in common in order, 2 M / T; 0 where it can be seen that it is below least."""
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
        return 0.0
    return matcher.ratio()


class _Union:
    """Disjoint sets of numbers (Tarjan 1975, with path halving); the root of a set is its smallest number."""

    def __init__(self, size: int) -> None:
        self._parent = array("q", range(size))

    def root(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def roots(self) -> Ints:
        """[number] the root of each."""
        parent = np.array(self._parent, np.int64)
        while (parent[parent] != parent).any():
            parent = parent[parent]
        return parent

    def join(self, a: int, b: int) -> bool:
        """Puts two sets together; False where they are together already."""
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first
        return first != second
