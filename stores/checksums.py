"""CRC-32C of bytes and of files in blocks. Knows no format.

A file's checksum is a list with one CRC-32C per block, so that large files are checked in parallel and a fault has a
place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .workers import map_ordered

BLOCK_BYTES = 4 << 20


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of bytes or of a contiguous numpy array."""
    import google_crc32c

    return int(google_crc32c.value(data))


@dataclass(frozen=True)
class FileChecksums:
    """A file's size in bytes and the CRC-32C of each of its blocks; an empty file has none."""

    size: int
    blocks: list[int]


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

    def digest(self) -> FileChecksums:
        return FileChecksums(self.size, [*self._done, self._crc] if self._filled else list(self._done))


class _Readable(Protocol):
    def read_range(self, rel: str, offset: int, length: int) -> bytes: ...


def file_checksums(files: _Readable, rel: str, size: int, block_bytes: int) -> list[int]:
    """Checksum of each `block_bytes` of a file of `size` bytes as it lies on disk."""

    def one(start: int) -> int:
        return crc32c(files.read_range(rel, start, min(block_bytes, size - start)))

    return list(map_ordered(one, range(0, size, block_bytes)))
