"""Chunks come out compressed in the grid's order, however many make a task, and each is found again by size and
checksum.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stores.checksums import crc32c
from stores.chunks import CHUNKS_PER_TASK, Layout, Pieces, decode_chunk, encode_chunks, fill_value


@pytest.mark.parametrize("length", [1, 7, 2 * CHUNKS_PER_TASK, 5 * CHUNKS_PER_TASK + 3])
def test_every_chunk_of_every_line_comes_back_in_order(length):
    values = np.random.default_rng(length).normal(size=(3, length, 5)).astype(np.float16)
    layout = Layout((3,), length, (5,), 2, values.dtype)
    cuts = sorted({0, length // 3, length // 2, length})
    pieces = Pieces([values[:, a:b] for a, b in itertools.pairwise(cuts)], 1)
    encoded = [
        (bytes(f), c) for frames in encode_chunks(layout, pieces.fetch, fill_value("float16")) for f, c in frames
    ]
    assert len(encoded) == layout.n_chunks
    back = np.empty((layout.n_chunks, 2, 5), np.float16)
    for chunk, (frame, checksum) in enumerate(encoded):
        decode_chunk(np.frombuffer(frame, np.uint8), checksum, back[chunk], lambda: "here")
    lines = back.reshape(3, -1, 5)
    np.testing.assert_array_equal(lines[:, :length], values)
    assert np.isnan(lines[:, length:]).all()


def test_each_frame_is_followed_by_its_checksum():
    values = np.arange(4 * CHUNKS_PER_TASK * 3, dtype=np.int32).reshape(-1, 3)
    layout = Layout((), len(values), (3,), 2, values.dtype)
    for frames in encode_chunks(layout, Pieces([values], 0).fetch, 0):
        at = 0
        for size, checksum in zip(frames.sizes, frames.checksums, strict=True):
            assert crc32c(frames.data[at : at + size]) == checksum
            assert int.from_bytes(frames.data[at + size : at + size + 4], "little") == checksum
            at += size + 4
        assert at == len(frames.data)
