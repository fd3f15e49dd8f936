"""A new file, written in whole blocks past the system's page cache, each checksummed as it goes.

Past the page cache (O_DIRECT), because nobody reads what a collection writes until it ends: filling the cache would
evict the model and cost more processor time than the rest of a commit. Where a file system can't, and for the last,
partial block, it is plain writing. Knows no format.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from .checksums import BLOCK_BYTES, FileChecksums, block_digest

_DIRECT = getattr(os, "O_DIRECT", 0)


class Spare:
    """Blocks of memory, aligned to pages, used again from file to file: fresh pages cost more than writing them."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []  # a list's own append and pop need no lock

    def take(self) -> memoryview:
        """BLOCK_BYTES with anything in them."""
        with contextlib.suppress(IndexError):
            return self._free.pop()
        return memoryview(mmap.mmap(-1, BLOCK_BYTES))

    def give(self, memory: memoryview) -> None:
        self._free.append(memory)


class _Block:
    """A block that waits in memory. Its bytes up to `end` are the file's; `filled` counts what was written since."""

    def __init__(self, memory: memoryview, end: int) -> None:
        self.memory, self.end, self.filled = memory, end, 0

    def put(self, begin: int, data: memoryview) -> None:
        if begin > self.end:
            self.memory[self.end : begin] = bytes(begin - self.end)
        self.memory[begin : begin + len(data)] = data
        self.end = max(self.end, begin + len(data))
        self.filled += len(data)

    def upto(self, length: int) -> memoryview:
        """The first `length` bytes, zeros where nothing was written."""
        if length > self.end:
            self.memory[self.end : length] = bytes(length - self.end)
        return self.memory[:length]


class BlockFile:
    """Bytes at any place of a new file; a context manager that closes it.

    A block goes to the file as soon as writing at the file's end has filled it; those with gaps, and those written into
    again, wait in memory for `finish`. So a stream holds one block, and an HDF5 file one or two for each dataset.
    Raises FileExistsError rather than overwrite, and OSError when the disk refuses.
    """

    def __init__(self, path: Path, spare: Spare) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._spare = spare
        self._waiting: dict[int, _Block] = {}
        self._written: dict[int, tuple[int, str]] = {}  # block -> (its length, its digest)
        self._direct, self._may_be_direct = False, bool(_DIRECT)
        self.size = 0

    def write_at(self, offset: int, data: Any) -> None:
        """Put bytes at `offset`."""
        view = memoryview(data).cast("B")
        at_end = offset + len(view) > self.size
        self.size = max(self.size, offset + len(view))
        for number, begin, end in _spans(offset, len(view)):
            block = self._block(number)
            block.put(begin, view[: end - begin])
            view = view[end - begin :]
            if at_end and block.filled >= BLOCK_BYTES:
                self._write_out(number, BLOCK_BYTES)

    def read_at(self, offset: int, length: int) -> bytes:
        """What lies there now; ends with the file."""
        parts = []
        for number, begin, end in _spans(offset, max(0, min(length, self.size - offset))):
            parts.append(self._block(number).upto(end)[begin:].tobytes())
        return b"".join(parts)

    def truncate(self, size: int) -> None:
        """Set the file's length. Bytes that were never written are zeros."""
        self.size = size

    def finish(self) -> FileChecksums:
        """Write what waits; size and checksums of the whole. The caller makes it durable."""
        blocks = range(math.ceil(self.size / BLOCK_BYTES))
        for number in blocks:
            length = min(BLOCK_BYTES, self.size - number * BLOCK_BYTES)
            if number in self._waiting or self._written.get(number, (0, ""))[0] != length:
                self._block(number)
                self._write_out(number, length)
        os.ftruncate(self._fd, self.size)
        return FileChecksums(self.size, [self._written[number][1] for number in blocks])

    def _block(self, number: int) -> _Block:
        """The block in memory; read back if it was written out before."""
        if number not in self._waiting:
            memory, end = self._spare.take(), 0
            if number in self._written:
                end = os.preadv(self._fd, [memory], number * BLOCK_BYTES)
            self._waiting[number] = _Block(memory, end)
        return self._waiting[number]

    def _write_out(self, number: int, length: int) -> None:
        block = self._waiting.pop(number)
        data = block.upto(length)
        self._set_direct(length == BLOCK_BYTES)
        self._write_all(data, number * BLOCK_BYTES)
        self._written[number] = length, block_digest(data)
        self._spare.give(block.memory)

    def _write_all(self, data: memoryview, offset: int) -> None:
        while len(data):
            try:
                done = os.pwrite(self._fd, data, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._may_be_direct = False  # this file system wants another alignment, or the disk is nearly full
                self._set_direct(False)
                continue
            data, offset = data[done:], offset + done

    def _set_direct(self, direct: bool) -> None:
        direct = direct and self._may_be_direct
        if direct == self._direct:
            return
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | _DIRECT if direct else flags & ~_DIRECT)
            self._direct = direct
        except OSError:
            self._may_be_direct = False

    def __enter__(self) -> BlockFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)
        for block in self._waiting.values():
            self._spare.give(block.memory)


def _spans(offset: int, length: int) -> Iterator[tuple[int, int, int]]:
    """(block, begin, end within it) of the blocks that a range of bytes touches."""
    stop = offset + length
    while offset < stop:
        number, begin = divmod(offset, BLOCK_BYTES)
        end = min(BLOCK_BYTES, begin + stop - offset)
        yield number, begin, end
        offset += end - begin
