"""An HDF5 file that outlives a full disk: HDF5 writes into a file of ours that notes the first failure and then
pretends.

HDF5 itself, told of a failed write while closing, may crash the process (seen with HDF5 2.0 on a full tmpfs). So it is
never told: after the first failure nothing more is written, HDF5 closes in peace, and the failure is raised then. The
file is torn and no commit names it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .block_file import BlockFile

VERSION = ("v110", "v110")  # HDF5 1.10: checksummed metadata and quick chunk indexes


class SteadyFile(io.RawIOBase):
    """The file object that HDF5 gets: a BlockFile with a position, whose write failures are kept, not raised."""

    def __init__(self, file: BlockFile) -> None:
        self._file, self._at = file, 0
        self._failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read_at(self._at, memoryview(buffer).nbytes)
        memoryview(buffer).cast("B")[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self._failure is None:
            try:
                self._file.write_at(self._at, data)
            except OSError as error:
                self._failure = error
        self._at += size
        return size

    def truncate(self, size: int | None = None) -> int:
        self._file.truncate(self._at if size is None else size)
        return self._file.size

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self._failure is not None:
            raise self._failure


@contextmanager
def writing(file: BlockFile, versions: tuple[str, str] = VERSION) -> Iterator[tuple[Any, SteadyFile]]:
    """(h5py.File, the file object under it) to fill a new file. Raises OSError after closing if a write failed."""
    import h5py

    steady = SteadyFile(file)
    try:
        with h5py.File(steady, "w", libver=versions) as hdf5:
            yield hdf5, steady
    finally:
        steady.check()  # rather than what HDF5 makes of it
