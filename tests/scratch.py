"""Where the tests' temporary folders lie: in memory, where that is as good as a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

_MEMORY = Path("/dev/shm")
_ROOM, _SPARE = 2 << 30, 6 << 30  # bytes: there, and of memory; all folders of the suite at once take below 1 GiB


def folder_in_memory() -> Path | None:
    """None where there is none, where it or memory is small, and where its files take no writes past the page cache:
    with the plain ones that stores would make there, tests of those writes would be skipped."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        return None
    if shutil.disk_usage(_MEMORY).free < _ROOM or psutil.virtual_memory().available < _SPARE:
        return None
    with tempfile.NamedTemporaryFile(dir=_MEMORY) as file:
        try:
            os.close(os.open(file.name, os.O_WRONLY | os.O_DIRECT))
        except OSError:
            return None
    return _MEMORY
