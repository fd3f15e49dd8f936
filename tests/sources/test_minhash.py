"""Candidates from flat arrays are those that a table of buckets gives, text by text."""

import tracemalloc
from collections import defaultdict

import numpy as np
import pytest

from lit_experiments.sources import minhash
from lit_experiments.sources.content_groups import Likeness, content_groups
from lit_experiments.sources.minhash import Grams, candidates

_WORDS = np.array([f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu", "ro") for b in ("ta", "ven", "sil", "dor")])


def texts(count: int) -> list[list[str]]:
    """Half of them nearly copies of an earlier one, some too short to have n-grams."""
    rng = np.random.default_rng(0)
    first = [rng.choice(_WORDS, rng.integers(1, 20)).tolist() for _ in range(count)]
    return first + [[word if rng.random() > 0.1 else "other" for word in words] for words in first]


def by_buckets(grams: Grams, bands: int, rows: int, seed: int) -> list[set[tuple[int, int]]]:
    rng = np.random.default_rng(seed)
    prime = (1 << 31) - 1
    slope, offset = rng.integers(1, prime, bands * rows).tolist(), rng.integers(0, prime, bands * rows).tolist()
    by_band = []
    for band in range(bands):
        buckets, pairs = defaultdict(list), set()
        for text in range(len(grams)):
            grams_of_text = grams.of_text(text).tolist()
            if grams_of_text:
                chosen = range(band * rows, (band + 1) * rows)
                key = tuple(min((g * slope[i] + offset[i]) % prime for g in grams_of_text) for i in chosen)
                pairs |= {(leader, text) for leader in buckets[key][: minhash._LEADERS]}
                buckets[key].append(text)
        by_band.append(pairs)
    return by_band


@pytest.mark.parametrize("cells", [1, 50, 1 << 20])
def test_pairs_are_those_of_a_table_of_buckets(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(minhash, "_CELLS", cells)
    grams = Grams.of([*texts(60), *[["one", "and", "the", "same"]] * 30], 2, least=4)
    assert not len(grams.of_text(next(i for i, words in enumerate(texts(60)) if len(words) < 4)))
    mine = [set(map(tuple, pairs.tolist())) for pairs in candidates(grams, 6, 2, 3)]
    assert mine == by_buckets(grams, 6, 2, 3)
    assert sum(map(len, mine)) > 100


def test_jaccard_is_of_the_sets_of_n_grams() -> None:
    grams = Grams.of([["a", "b", "c", "d"], ["a", "b", "c", "e"], ["a"], []], 2)
    assert grams.jaccard(0, 1) == pytest.approx(2 / 4)
    assert grams.jaccard(2, 2) == 1
    assert grams.jaccard(0, 2) == 0


def test_a_text_costs_some_numbers_and_no_objects() -> None:
    rng = np.random.default_rng(1)
    many = [" ".join(map(str, rng.integers(0, 10**6, 12))) for _ in range(20_000)]
    tracemalloc.start()
    content_groups(many, Likeness(0.5, 0.7))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 700 * len(many)
