"""Which texts say the same: exact copies, near copies, and texts of one template, as groups that no split may part.

Owns: what counts as a copy. Near copies are found by MinHash over word n-grams (Broder 1997) with locality-sensitive
hashing and confirmed on the n-grams themselves; templates by MinHash over word pairs, confirmed by aligning the words.
Does not know: splits, labels, stores.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_WORD = re.compile(r"\w+|[^\w\s]")
_PRIME = np.uint64((1 << 31) - 1)  # products of two numbers below it fit into 64 bits
_LEADERS = 8
"""Texts of one bucket that a further text is compared with at most."""
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
    normal = [" ".join(text.split()).casefold() for text in texts]
    first = {text: place for place, text in reversed([*enumerate(normal)])}
    distinct = sorted(first.values())
    words = [_WORD.findall(normal[place]) for place in distinct]
    union = _Union(len(distinct))
    near = sum(union.join(a, b) for a, b in _near_copies(words, likeness))
    templates = 0
    if likeness.template is not None:
        templates = sum(union.join(a, b) for a, b in _templates(words, likeness))
    number = {place: i for i, place in enumerate(distinct)}
    roots = np.array([union.root(number[first[text]]) for text in normal], np.int64)
    _, start, codes = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(start, kind="stable"), kind="stable")
    return ContentGroups(rank[codes].astype(np.int64), len(texts) - len(distinct), near, templates)


def united(*groupings: Sequence[str] | Ints | NDArray[np.str_]) -> Ints:
    """[row] groups in which two rows are together wherever any of the groupings has them together."""
    union = _Union(len(groupings[0]))
    for grouping in groupings:
        first: dict[object, int] = {}
        for row, name in enumerate(np.asarray(grouping).tolist()):
            union.join(first.setdefault(name, row), row)
    roots = [union.root(row) for row in range(len(groupings[0]))]
    number = {root: i for i, root in enumerate(dict.fromkeys(roots))}
    return np.array([number[root] for root in roots], np.int64)


def _near_copies(words: Sequence[Sequence[str]], likeness: Likeness) -> Iterator[tuple[int, int]]:
    grams = [_hashes(_ngrams(text, likeness.words)) for text in words]
    yield from (
        (a, b) for a, b in _candidates(grams, 16, 4, likeness.seed) if _jaccard(grams[a], grams[b]) >= likeness.near
    )


def _templates(words: Sequence[Sequence[str]], likeness: Likeness) -> Iterator[tuple[int, int]]:
    """Every text next to the one leader that it is most alike: leaders are not joined, so that likeness does not creep
    from text to text through a whole corpus."""
    assert likeness.template is not None
    grams = [_hashes(_ngrams(text, 2)) if len(text) >= _LEAST_WORDS else np.zeros(0, np.uint64) for text in words]
    best: dict[int, tuple[float, int]] = {}
    for earlier, later in sorted(_candidates(grams, 32, 2, likeness.seed), key=lambda pair: (pair[1], pair[0])):
        if earlier not in best:
            alike = _aligned(words[earlier], words[later], likeness.template)
            if alike >= likeness.template and alike > best.get(later, (0.0, 0))[0]:
                best[later] = (alike, earlier)
    yield from ((leader, text) for text, (_, leader) in best.items())


def _aligned(a: Sequence[str], b: Sequence[str], least: float) -> float:
    """Share of words that two texts have in common in order, 2 M / T; 0 where it can be seen that it is below least."""
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
        return 0.0
    return matcher.ratio()


def _ngrams(words: Sequence[str], size: int) -> set[str]:
    """Word n-grams; the whole text where it is shorter."""
    return {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def _hashes(grams: set[str]) -> NDArray[np.uint64]:
    hashed = np.fromiter((zlib.crc32(gram.encode()) for gram in grams), np.uint64, len(grams))
    return np.unique(hashed % _PRIME)


def _jaccard(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / max(1, len(a) + len(b) - common)


def _candidates(grams: Sequence[NDArray[np.uint64]], bands: int, rows: int, seed: int) -> set[tuple[int, int]]:
    """(earlier, later) texts with all `rows` MinHash values of some band alike; texts without n-grams have none."""
    used = [text for text, hashed in enumerate(grams) if len(hashed)]
    if not used:
        return set()
    signature = _signatures([grams[text] for text in used], bands * rows, seed)
    pairs: set[tuple[int, int]] = set()
    for band in range(bands):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        columns = np.ascontiguousarray(signature[:, band * rows : (band + 1) * rows])
        for text, values in zip(used, columns, strict=True):
            leaders = buckets[values.tobytes()]
            pairs.update((leader, text) for leader in leaders)
            if len(leaders) < _LEADERS:
                leaders.append(text)
    return pairs


def _signatures(grams: Sequence[NDArray[np.uint64]], size: int, seed: int) -> NDArray[np.uint64]:
    """[text, size] least value of each of `size` random linear hashes over a text's n-grams."""
    rng = np.random.default_rng(seed)
    slope = rng.integers(1, int(_PRIME), size, dtype=np.uint64)
    offset = rng.integers(0, int(_PRIME), size, dtype=np.uint64)
    flat = np.concatenate(grams)
    starts = np.cumsum([0, *(len(hashed) for hashed in grams[:-1])])
    columns = [np.minimum.reduceat((flat * a + b) % _PRIME, starts) for a, b in zip(slope, offset, strict=True)]
    return np.stack(columns, 1)


class _Union:
    """Disjoint sets of numbers (Tarjan 1975, with path halving); the root of a set is its smallest number."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def join(self, a: int, b: int) -> bool:
        """Puts two sets together; False where they are together already."""
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first
        return first != second
