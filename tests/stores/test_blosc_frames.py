"""A part of a frame holds the bytes that were asked for, whatever the frame's blocks; and a damaged frame is refused
also where only a part of it is decompressed.
"""

from __future__ import annotations

import numpy as np
import pytest
from numcodecs import blosc

from stores.blosc_frames import blocks_of
from stores.checksums import crc32c
from stores.chunks import decode_chunk
from stores.errors import CorruptStore

BLOCK = 1 << 16


def values_of(size, dtype, kind):
    rng = np.random.default_rng(size)
    numbers = {
        "noise": lambda: rng.integers(0, 256, size * dtype.itemsize, np.uint8).view(dtype),  # Blosc copies it
        "normal": lambda: (100 * rng.standard_normal(size)).astype(dtype),
        "zeros": lambda: np.zeros(size, dtype),
    }
    return numbers[kind]()


@pytest.mark.parametrize("kind", ["noise", "normal", "zeros"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
@pytest.mark.parametrize("extra", [0, 1, 63, 64, BLOCK // 2])
@pytest.mark.parametrize("n_blocks", [0, 1, 2, 5])
def test_any_part_of_a_frame_is_the_same_as_in_the_whole(kind, dtype, extra, n_blocks):
    values = values_of(max(1, (n_blocks * BLOCK) // np.dtype(dtype).itemsize + extra), np.dtype(dtype), kind)
    frame = np.frombuffer(blosc.compress(values, b"lz4", 1, 2), np.uint8)
    whole = values.view(np.uint8)
    rng = np.random.default_rng(0)
    ends = [(0, 1), (0, whole.size), (whole.size - 1, whole.size)]
    for begin, end in ends + [tuple(sorted(rng.choice(whole.size + 1, 2, replace=whole.size < 2))) for _ in range(12)]:
        part, first, stop = blocks_of(frame, int(begin), int(end))
        assert first <= begin
        assert end <= stop
        out = np.empty(stop - first, np.uint8)
        blosc.decompress(part, out)
        np.testing.assert_array_equal(out, whole[first:stop])


@pytest.mark.parametrize("block", range(4))
def test_of_one_row_one_block_is_decompressed(block):
    values = values_of(4 * BLOCK // 2 - 500, np.dtype("float16"), "normal")
    frame = np.frombuffer(blosc.compress(values, b"lz4", 1, 2), np.uint8)
    part, first, stop = blocks_of(frame, block * BLOCK + 10, block * BLOCK + 20)
    assert (first, stop) == (block * BLOCK, min(block * BLOCK + BLOCK, values.nbytes))
    assert len(part) < 0.3 * len(frame)


@pytest.mark.parametrize("damaged", [3, 20, 1000, -1])
def test_damage_anywhere_in_a_frame_is_an_error_of_every_part(damaged):
    values = values_of(3 * BLOCK // 2, np.dtype("float16"), "normal").reshape(3, -1)
    frame = np.frombuffer(blosc.compress(values, b"lz4", 1, 2), np.uint8).copy()
    checksum, out = crc32c(frame), np.empty_like(values)
    frame[damaged] ^= 1
    for row in range(3):
        with pytest.raises(CorruptStore, match="Checksum error in here"):
            decode_chunk(frame, checksum, out, lambda: "here", (row, row + 1))
