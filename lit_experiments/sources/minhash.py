"""Texts that share many word n-grams, found without comparing all with all: MinHash (Broder 1997), banded.

What is held of millions of texts lies in flat arrays: some 4 bytes an n-gram and 16 a text; nothing is a Python object.
Owns: n-grams as numbers, which texts are candidates. Does not know: when candidates are alike.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_PRIME = np.uint64((1 << 31) - 1)  # products of two numbers below it fit into 64 bits
_MIX = np.uint64(0x9E3779B97F4A7C15)
_LEADERS = 8
"""Texts of one bucket that a further text is compared with at most."""
_CELLS = 1 << 20
"""N-grams that are hashed at a time."""


@dataclass(frozen=True, eq=False)
class Grams:
    """The distinct n-grams of texts as numbers below 2^31. flat [n-gram of all texts]: sorted within a text; ends
    [text]: where each text's end in it."""

    flat: NDArray[np.uint32]
    ends: Ints

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], size: int, least: int = 0) -> Grams:
        """Of texts as words: their runs of `size` words, the whole text where it is shorter; none where it has fewer
        words than `least`."""
        flat, ends = array("I"), array("q")
        for words in texts:
            if len(words) >= least:
                flat.extend(_hashes(words, size))
            ends.append(len(flat))
        return cls(np.frombuffer(flat, np.uint32), np.frombuffer(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def of_text(self, text: int) -> NDArray[np.uint32]:
        """The n-grams of one text."""
        return self.flat[self.ends[text - 1] if text else 0 : self.ends[text]]

    def jaccard(self, a: int, b: int) -> float:
        """The share of the n-grams of two texts that both have."""
        first, second = self.of_text(a), self.of_text(b)
        common = len(np.intersect1d(first, second, assume_unique=True))
        return common / max(1, len(first) + len(second) - common)


def candidates(grams: Grams, bands: int, rows: int, seed: int) -> Iterator[Ints]:
    """Band by band, pairs [pair, 2] of an earlier and a later text whose `rows` MinHash values of the band are alike;
    of a bucket's texts only the first few are the earlier ones. Texts without n-grams have none."""
    starts = np.concatenate([[0], grams.ends[:-1]]).astype(np.int64)
    used = np.flatnonzero(grams.ends > starts)
    rng = np.random.default_rng(seed)
    slope = rng.integers(1, int(_PRIME), bands * rows, dtype=np.uint64)
    offset = rng.integers(0, int(_PRIME), bands * rows, dtype=np.uint64)
    for band in range(bands) if len(used) else ():
        key = np.zeros(len(used), np.uint64)
        for row in range(band * rows, (band + 1) * rows):
            key = key * _MIX + _least(grams, used, slope[row], offset[row])
        yield used[_paired(key)]


def _least(grams: Grams, used: Ints, slope: np.uint64, offset: np.uint64) -> NDArray[np.uint64]:
    """[used text] the least value of a random linear hash over a text's n-grams."""
    out = np.empty(len(used), np.uint64)
    ends = grams.ends[used]
    start = first = 0
    while start < len(used):
        stop = max(start + 1, int(np.searchsorted(ends, first + _CELLS, "right")))
        block = grams.flat[first : ends[stop - 1]].astype(np.uint64)
        edges = np.concatenate([[0], ends[start : stop - 1] - first])
        out[start:stop] = np.minimum.reduceat((block * slope + offset) % _PRIME, edges)
        start, first = stop, int(ends[stop - 1])
    return out


def _paired(key: NDArray[np.uint64]) -> Ints:
    """[pair, 2] places of equal keys: each with those of the first places that come before it."""
    order = np.argsort(key, kind="stable")
    new = np.concatenate([[True], np.diff(key[order]) != 0])
    start = np.flatnonzero(new)[np.cumsum(new) - 1]
    rank = np.arange(len(order)) - start
    pairs = [np.zeros((0, 2), np.int64)]
    for leader in range(_LEADERS):
        later = np.flatnonzero(rank > leader)
        if not len(later):
            break
        pairs.append(np.stack([order[start[later] + leader], order[later]], 1))
    return np.concatenate(pairs)


def _hashes(words: Sequence[str], size: int) -> list[int]:
    grams = {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}
    return sorted({zlib.crc32(gram.encode()) % int(_PRIME) for gram in grams})
