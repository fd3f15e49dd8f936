"""An HDF5 file that outlives a full disk: writing goes through a file of ours that notes the first failure and then
pretends.

HDF5 itself, told of a failed write while closing, may crash the process (seen with HDF5 2.0 on a full tmpfs). So it is
never told: after the first failure nothing more is written, HDF5 closes in peace, and the failure is raised then. The
file is torn and no commit names it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = ("v110", "v110")  # HDF5 1.10: checksummed metadata and quick chunk indexes


class SteadyFile(io.FileIO):
    """A raw file whose write failures are kept in `failure` and not raised."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.failure is None:
            try:
                done += super().write(view[done:]) or 0
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        if self.failure is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.failure = error
        return self.tell() if size is None else size

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self.failure is not None:
            raise self.failure


@contextmanager
def writing(path: Path, new: bool) -> Iterator[tuple[Any, SteadyFile]]:
    """(h5py.File, the file under it) to write a new file or add to a finished one.

    Raises OSError after closing if a write failed, FileExistsError if a new file is there already.
    """
    import h5py

    with SteadyFile(path, "xb+" if new else "rb+") as steady:
        with h5py.File(steady, "w" if new else "r+", libver=VERSION) as file:
            yield file, steady
        steady.check()
