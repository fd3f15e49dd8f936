"""Blosc frames in part: the blocks that hold some of a frame's bytes, as a frame of their own.

A Blosc 1 frame is a header of 16 bytes (version, version of the codec, flags, typesize; then bytes when decompressed,
bytes of a block, bytes of the frame, uint32 little-endian), a uint32 for each block that says where it begins, and the
blocks, each compressed by itself: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst. Knows no chunks.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<BBBB3I")
_COPIED, _UNSPLIT = 0x02, 0x10  # flags: the values follow the header as they are; no block is in several streams


def blocks_of(frame: NDArray[np.uint8], begin: int, end: int) -> tuple[NDArray[np.uint8], int, int]:
    """The blocks with the decompressed bytes [begin, end): (a frame that holds them, its first byte, its end).

    The frame itself where it has no blocks to leave out, or holds them in another order.
    """
    version, codec_version, flags, typesize, total, block, _ = _HEADER.unpack_from(frame.data)
    n_blocks = -(-total // block) if block else 0
    if n_blocks < 2 or flags & _COPIED or not begin < end <= total:
        return frame, 0, total
    first, last = begin // block, -(-end // block)
    table = _HEADER.size
    starts = [*struct.unpack_from(f"<{n_blocks}I", frame.data, table), len(frame)]
    if last - first == n_blocks or starts != sorted(starts) or starts[0] < table + 4 * n_blocks:
        return frame, 0, total
    begin, end = first * block, min(total, last * block)
    if end - begin < block:  # the last block alone, a shorter one, which is never split: a frame's block is no longer
        block, flags = end - begin, flags | _UNSPLIT
    moved = table + 4 * (last - first) - starts[first]
    size = starts[last] + moved
    part = np.empty(size, np.uint8)
    _HEADER.pack_into(part.data, 0, version, codec_version, flags, typesize, end - begin, block, size)
    struct.pack_into(f"<{last - first}I", part.data, table, *(start + moved for start in starts[first:last]))
    part[table + 4 * (last - first) :] = frame[starts[first] : starts[last]]
    return part, begin, end
