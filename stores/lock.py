"""The lock that keeps two collections from writing into one store. Readers need none.

The process that starts a collection holds an exclusive flock on `.lock` and hands its descriptor on to the processes it
starts; a flock belongs to the open file, so it lasts until the last of them is gone, however the first one ended.
On an object store a lease takes its place (lease.py).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from . import lease
from .errors import LockedError, NotWritable
from .files import LocalFiles, open_files
from .hub_files import HubFiles
from .lease import Lease, Terms
from .remote_files import RemoteFiles

LOCK_NAME = ".lock"
_POLL_SECONDS = 0.05
_LEASE = Terms(30.0)


class StoreLock:
    """A held lock; a context manager. Let go by `release`, by leaving the `with` block, or by the process's end."""

    def __init__(self, descriptor: int | None):
        self._descriptor = descriptor

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """To pass on to child processes: the lock is held until the last process that has them is gone."""
        return () if self._descriptor is None else (self._descriptor,)

    def release(self) -> None:
        """Let go. Twice does no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> StoreLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def exclusive(path: str | os.PathLike[str], wait_seconds: float, terms: Terms = _LEASE) -> StoreLock | Lease:
    """The lock of the process that starts a collection, or its lease; the folder is made if needed.

    Args:
        wait_seconds: how long to wait for another collection to end; for a lease that its holder doesn't renew, if
            this is more than 0, until it ends.
        terms: of the lease.

    Raises LockedError naming the holder if another collection still runs then, NotWritable if the place can't be used.
    """
    files = open_files(path)
    if isinstance(files, RemoteFiles):
        return lease.acquire(files, terms, patient=wait_seconds > 0)
    if isinstance(files, HubFiles):
        files.refuse()
    assert isinstance(files, LocalFiles)
    descriptor = _acquire(files.root / LOCK_NAME, time.monotonic() + wait_seconds)
    holder = json.dumps(
        {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%FT%TZ", time.gmtime())}
    )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)
    return StoreLock(descriptor)


def is_held(path: str | os.PathLike[str]) -> bool:
    """Whether a process holds the store's lock, or its lease."""
    files = open_files(path)
    if isinstance(files, RemoteFiles):
        return lease.is_held(files)
    if not isinstance(files, LocalFiles) or not (files.root / LOCK_NAME).is_file():
        return False
    with (files.root / LOCK_NAME).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    return False


def holder(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Who holds the store's lock or lease: `pid`, `host`, `since`; None where nobody does, {} where he left no name."""
    if not is_held(path):
        return None
    files = open_files(path)
    try:
        left: dict[str, Any] = json.loads(files.read(LOCK_NAME if files.is_local else lease.LEASE_NAME))
    except (OSError, ValueError):  # between taking the lock and signing it
        return {}
    return left


def _acquire(file: Path, until: float) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror or error
        raise NotWritable(f"Can't lock {file}: {reason}. Choose another folder.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotWritable(f"Can't lock {file}: it is no plain file. Remove it, or choose another folder.")
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN) or time.monotonic() >= until:
                os.close(descriptor)
                raise _refusal(file, error) from error
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor


def _refusal(file: Path, error: OSError) -> LockedError | NotWritable:
    if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
        return NotWritable(f"Can't lock {file}: {error.strerror}. This file system may not support flock.")
    try:
        holder = json.loads(file.read_text())
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        who = "a process that left no name"
    return LockedError(f"{file.parent} is being written by {who}. Wait for it or stop it, then run again.")
