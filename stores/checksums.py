"""CRC-32C of bytes, of chunks and of files in blocks. Knows no format.

A file's checksum is a list with one CRC-32C per 16 MiB, so that large files are checked in parallel and a fault has a
place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Literal

BLOCK_BYTES = 16 << 20
Kind = Literal["crc32c", "fletcher32"]


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of bytes or of a contiguous numpy array."""
    import google_crc32c

    return int(google_crc32c.value(data))


def chunk_checksum(kind: Kind, payload: Any) -> bytes:
    """The 4 bytes after a stored chunk: Zarr's crc32c codec, or HDF5's Fletcher-32 filter (both little-endian)."""
    if kind == "crc32c":
        return struct.pack("<I", crc32c(payload))
    from numcodecs.fletcher32 import Fletcher32

    return bytes(memoryview(Fletcher32().encode(payload))[-4:])


class BlockChecksums:
    """Block checksums of a stream that is fed in order."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._crc = 0
        self._filled = 0
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        import google_crc32c

        self.size += len(data)
        view = memoryview(data)
        while len(view):
            part = view[: BLOCK_BYTES - self._filled]
            piece = data if len(part) == len(data) else bytes(part)
            self._crc = int(google_crc32c.extend(self._crc, piece))
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == BLOCK_BYTES:
                self._done.append(self._crc)
                self._crc = self._filled = 0

    def digest(self) -> list[int]:
        """Checksums of all blocks; an empty stream has none."""
        return [*self._done, self._crc] if self._filled else list(self._done)


def block_checksums(read: Callable[[int, int], bytes], size: int) -> list[int]:
    """Block checksums of a file of `size` bytes, where `read(offset, length)` gives its bytes; in parallel."""
    from .workers import pool

    starts = range(0, size, BLOCK_BYTES)
    return list(pool().map(lambda start: crc32c(read(start, min(BLOCK_BYTES, size - start))), starts))
