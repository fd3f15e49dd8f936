"""Chunks of several blocks, of which a read needs some: the numbers are those of the whole, and damage in the other
blocks is found all the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import stores
from stores.errors import CorruptStore

LAYERS, TOKENS, HIDDEN, SAMPLE = 2, 600, 768, 50
LENGTHS = np.full(TOKENS // SAMPLE, SAMPLE)


@pytest.fixture(params=["float16", "float32", "bfloat16"])
def kept(request, local):
    """An open store with a field over tokens in two commits, and its numbers."""
    numbers = np.random.default_rng(0).standard_normal((LAYERS, TOKENS, HIDDEN)).astype(np.float16)
    numbers = (numbers.astype(np.float32).view(np.uint32) >> 16 << 16).view(np.float32)  # exact in every dtype
    field = stores.Field("x", ("layer", "token", "hidden"), (LAYERS, None, HIDDEN), request.param, "1", "")
    stores.create_store(local.path, stores.Schema((field,), ()), {}, {}, local.backend)
    for part in range(2):
        rows = [{"sample_id": str(i), "sample_index": i} for i in range(part, len(LENGTHS), 2)]
        at = np.concatenate(
            [np.arange(row["sample_index"] * SAMPLE, (row["sample_index"] + 1) * SAMPLE) for row in rows]
        )
        with stores.PartWriter(local.path, part, 1 << 30, 1e9) as writer:
            writer.append(stores.Records(rows, {"x": numbers[:, at]}, {"token": LENGTHS[: len(rows)]}))
    return stores.open_store(local.path), numbers


def first_commit(store):
    """The commit with the first token. (Of two launches in one second the order of the parts is by chance.)"""
    return next(segment for segment in store.segments if segment.part.endswith("r000"))


@pytest.mark.parametrize("seed", range(4))
def test_random_tokens_are_those_of_the_whole(kept, seed):
    store, numbers = kept
    rng = np.random.default_rng(seed)
    for n in (1, 2, 17, 200):
        at, hidden = rng.integers(0, TOKENS, n), rng.integers(0, HIDDEN, 5)
        for some in (at, np.sort(at), np.unique(at)[::-1]):
            np.testing.assert_array_equal(store["x"].gather(some, layer=1), numbers[1, some])
            np.testing.assert_array_equal(
                store["x"].gather(some, layer=[1, 0], hidden=hidden), numbers[[1, 0]][:, some][..., hidden]
            )


def test_neighbours_in_any_order_and_one_sample_are_those_of_the_whole(kept):
    store, numbers = kept
    for start in range(0, TOKENS - 90, 37):
        for some in (np.arange(start, start + 90), np.arange(start + 90, start, -1), np.repeat(start, 3)):
            np.testing.assert_array_equal(store["x"].gather(some), numbers[:, some])
    for row in range(len(LENGTHS)):
        np.testing.assert_array_equal(store["x"].read(rows=[row]), numbers[:, row * SAMPLE : (row + 1) * SAMPLE])


@pytest.mark.parametrize("at", [[5, 5, 7], [3, 5, 4, 6], [9, 8, 7], [4, 6, 6, 7], [0, 74, 75, 76], [2, 3, 4]])
def test_what_only_looks_like_neighbours_is_in_the_order_given(kept, at):
    """As many tokens as their span is long: repeated, or in another order."""
    store, numbers = kept
    np.testing.assert_array_equal(store["x"].gather(at), numbers[:, at])


def test_damage_in_a_block_that_is_not_needed_is_found(kept):
    store, numbers = kept
    segment, declared = first_commit(store), store["x"].field
    layout, located = segment.layout(declared), segment.locate(declared)
    path = Path(segment.files.locate(located.rel))
    tokens = np.flatnonzero((np.arange(TOKENS) // SAMPLE) % 2 == 0)[: layout.rows]  # those of its first chunk
    content = path.read_bytes()
    for place in (0.1, 0.5, 0.9):
        damaged = bytearray(content)
        damaged[int(located.offsets[0] + place * located.sizes[0])] ^= 4
        path.write_bytes(damaged)
        for token in tokens[[0, -1]]:
            with pytest.raises(CorruptStore, match="Checksum error"):
                store["x"].gather([token], layer=0)
        np.testing.assert_array_equal(store["x"].gather([tokens[0]], layer=1), numbers[1, tokens[:1]])


def test_a_file_that_ends_early_is_an_error(kept):
    store, _ = kept
    segment = first_commit(store)
    path = Path(segment.files.locate(segment.locate(store["x"].field).rel))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptStore, match="ends early"):
        store["x"].gather([0, 1, 2], layer=0)
