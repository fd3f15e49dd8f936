"""CRC-32C of bytes and of files in blocks. Knows no format.

A file's checksum is a list with one CRC-32C per 16 MiB, so that large files are checked in parallel and a fault has a
place.
"""

from __future__ import annotations

from typing import Any, Protocol

from .workers import map_ordered

BLOCK_BYTES = 16 << 20


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of bytes or of a contiguous numpy array."""
    import google_crc32c

    return int(google_crc32c.value(data))


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
        while data:
            room = BLOCK_BYTES - self._filled
            part, data = (data, b"") if len(data) <= room else (data[:room], data[room:])
            self._crc = int(google_crc32c.extend(self._crc, part))
            self._filled += len(part)
            if self._filled == BLOCK_BYTES:
                self._done.append(self._crc)
                self._crc = self._filled = 0

    def digest(self) -> list[int]:
        """Checksums of all blocks; an empty stream has none."""
        return [*self._done, self._crc] if self._filled else list(self._done)


class _Readable(Protocol):
    def read_range(self, rel: str, offset: int, length: int) -> bytes: ...


def file_checksums(files: _Readable, rel: str, size: int) -> list[int]:
    """Block checksums of a file of `size` bytes as it lies on disk."""

    def one(start: int) -> int:
        return crc32c(files.read_range(rel, start, min(BLOCK_BYTES, size - start)))

    return list(map_ordered(one, range(0, size, BLOCK_BYTES)))
