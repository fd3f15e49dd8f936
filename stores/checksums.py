"""Checksums of chunks (CRC-32C) and of files in blocks (XXH3). Knows no format.

A file's checksum is a list with one digest per block, so that large files are checked in parallel and a fault has a
place. Blocks need another function than chunks: the CRC-32C of bytes that each end in their own CRC-32C depends on
their lengths alone, so any shard would pass for any other of equal size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .workers import map_ordered

BLOCK_BYTES = 4 << 20
BLOCK_DIGEST = "xxh3_128"


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of bytes or of a contiguous numpy array."""
    import google_crc32c

    return int(google_crc32c.value(data))


def block_digest(data: Any, function: str = BLOCK_DIGEST) -> str:
    """Hex digits of a block's digest: "xxh3_128" (canonical, 32 digits), or "crc32c" (8) as in earlier manifests."""
    import xxhash

    if function == "crc32c":
        return f"{crc32c(data):08x}"
    return str(xxhash.xxh3_128_hexdigest(data))


@dataclass(frozen=True)
class FileChecksums:
    """A file's size in bytes and the digest of each of its blocks; an empty file has none."""

    size: int
    blocks: list[str]


class BlockChecksums:
    """Block checksums of a stream that is fed in order."""

    def __init__(self) -> None:
        import xxhash

        self._done: list[str] = []
        self._block = xxhash.xxh3_128()
        self._filled = 0
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        while data:
            room = BLOCK_BYTES - self._filled
            part, data = (data, b"") if len(data) <= room else (data[:room], data[room:])
            self._block.update(part)
            self._filled += len(part)
            if self._filled == BLOCK_BYTES:
                self._done.append(self._block.hexdigest())
                self._block.reset()
                self._filled = 0

    def digest(self) -> FileChecksums:
        return FileChecksums(self.size, [*self._done, self._block.hexdigest()] if self._filled else list(self._done))


class _Readable(Protocol):
    def read_range(self, rel: str, offset: int, length: int) -> bytes: ...


def file_checksums(files: _Readable, rel: str, size: int, block_bytes: int, function: str = BLOCK_DIGEST) -> list[str]:
    """Digest of each `block_bytes` of a file of `size` bytes as it lies on disk."""

    def one(start: int) -> str:
        return block_digest(files.read_range(rel, start, min(block_bytes, size - start)), function)

    return list(map_ordered(one, range(0, size, block_bytes)))
