"""Locks that keep two collections from writing into one store. Readers need none.

`.lock` is held shared by every process of a running collection, exclusively by the one that starts it; `.lock-gate` is
held by the one that is starting, because turning an exclusive flock into a shared one lets go for a moment. Object
stores have no locks: there the lock is a promise of the caller's, and `held` is False.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from .errors import LockedError, NotWritable

LOCK_NAME = ".lock"
GATE_NAME = ".lock-gate"
_POLL_SECONDS = 0.05


class StoreLock:
    """A held lock; a context manager. Let go by `release`, by leaving the `with` block, or by the process's end."""

    def __init__(self, descriptor: int | None, gate: int | None):
        self._descriptor, self._gate = descriptor, gate

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """To pass on to child processes: the lock is held until the last process that has them is gone."""
        return tuple(d for d in (self._descriptor, self._gate) if d is not None)

    def downgrade(self) -> None:
        """From exclusive to shared: other processes of this collection may join, nobody else may start."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let go. Twice does no harm."""
        for descriptor in (self._descriptor, self._gate):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._gate = None

    def __enter__(self) -> StoreLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def exclusive(path: str | os.PathLike[str], wait_seconds: float) -> StoreLock:
    """The lock of the process that starts a collection; the folder is made if needed.

    Raises LockedError naming the holder if another collection still runs after `wait_seconds`, NotWritable if the
    folder can't be used.
    """
    if _is_remote(path):
        return StoreLock(None, None)
    until = time.monotonic() + wait_seconds
    gate = _acquire(path, GATE_NAME, fcntl.LOCK_EX, until)
    try:
        descriptor = _acquire(path, LOCK_NAME, fcntl.LOCK_EX, until)
    except BaseException:
        os.close(gate)
        raise
    holder = json.dumps(
        {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%FT%TZ", time.gmtime())}
    )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)
    return StoreLock(descriptor, gate)


def shared(path: str | os.PathLike[str], wait_seconds: float) -> StoreLock:
    """The lock of each process of a running collection. Raises LockedError or NotWritable as `exclusive` does."""
    if _is_remote(path):
        return StoreLock(None, None)
    return StoreLock(_acquire(path, LOCK_NAME, fcntl.LOCK_SH, time.monotonic() + wait_seconds), None)


def _acquire(path: str | os.PathLike[str], name: str, mode: int, until: float) -> int:
    file = Path(path) / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise NotWritable(f"Can't lock {file}: {error.strerror or error}. Choose another folder.") from error
    while True:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
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
        holder = json.loads((file.parent / LOCK_NAME).read_text())
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        who = "a process that left no name"
    return LockedError(f"{file.parent} is being written by {who}. Wait for it or stop it, then run again.")


def _is_remote(path: str | os.PathLike[str]) -> bool:
    return "://" in os.fspath(path)
