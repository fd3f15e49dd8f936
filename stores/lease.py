"""The lease of a collection whose store lies on an object store, in place of a file lock.

`.lease` is one object that says who collects, and for how many seconds without word from him. It is made by a put that
fails where there is one, and replaced by puts that are conditional on its last state, so that of several processes one
gets it. The holder replaces it every third of that time. When it ends, as when its holder was killed, the next one who
asks gets it, closes what earlier launches wrote (fencing.py) and only then looks what is left to do.

Only the server's clock counts. A holder that was merely asleep finds on waking that it can commit nothing more.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from types import TracebackType

from .errors import CorruptStore, LockedError, NotWritable
from .fencing import close_launches
from .remote_files import Changed, RemoteError, RemoteFiles, Tagged

LEASE_NAME = ".lease"
_CLOCK_STEP = 1.0  # seconds: servers give their time in whole ones
_POLL_SECONDS = 0.5
_RENEWALS = 3  # in the time that a lease lasts


@dataclass(frozen=True)
class Terms:
    """What a collection asks for: a lease that lasts `seconds` without word from its holder, for a launch of that name
    with so many processes that write."""

    seconds: float
    launch: str = ""
    writers: int = 0


@dataclass(frozen=True)
class _State:
    """What the object says. `token` and `renewals` make no two states alike."""

    pid: int
    host: str
    since: str
    seconds: float
    launch: str
    writers: int
    token: str
    renewals: int = 0
    released: bool = False

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


class Lease:
    """A held lease, renewed by a thread until it is released; a context manager."""

    def __init__(self, files: RemoteFiles, state: _State, tag: str) -> None:
        self._files, self._state, self._tag = files, state, tag
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="stores-lease", daemon=True)
        self._thread.start()

    @property
    def held(self) -> bool:
        """Whether it is, as far as is known here, still this process's."""
        return not self._ended.is_set()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """None: a lease is no open file."""
        return ()

    def release(self) -> None:
        """Let go. Twice does no harm."""
        self._ended.set()
        self._thread.join()
        if not self._state.released:
            self._replace(replace(self._state, released=True))

    def _renew(self) -> None:
        wait = self._state.seconds / _RENEWALS
        while not self._ended.wait(wait):
            self._replace(replace(self._state, renewals=self._state.renewals + 1))

    def _replace(self, state: _State) -> None:
        """Puts a later state in the place of the last; where that is gone, somebody else has the lease. What fails for
        another reason is tried again at the next turn, or ends with the time."""
        try:
            self._tag, self._state = self._files.swap(LEASE_NAME, state.to_bytes(), self._tag), state
        except Changed:
            self._state = replace(self._state, released=True)
            self._ended.set()
        except RemoteError:
            return

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def acquire(files: RemoteFiles, terms: Terms, patient: bool) -> Lease:
    """The lease of the process that starts a collection, with everything closed that earlier launches wrote.

    Args:
        patient: whether to wait for the end of a lease that its holder doesn't renew.

    Raises LockedError naming the holder and when its lease ends, NotWritable if the server doesn't take it.
    """
    try:
        state = _State(os.getpid(), socket.gethostname(), _now(), terms.seconds, terms.launch, terms.writers, _token())
        before, tag = _take(files, state, patient)
        lease = Lease(files, state, tag)
        try:
            close_launches(files, terms.launch, before.launch if before else "", before.writers if before else 0)
        except BaseException:
            lease.release()
            raise
    except RemoteError as error:
        raise NotWritable(f"Can't get the lease of {files.url}: {error}.") from error
    return lease


def is_held(files: RemoteFiles) -> bool:
    """Whether a process holds the lease, that is, has neither released it nor let it end."""
    if not files.exists(LEASE_NAME):
        return False
    seen = files.read_tagged(LEASE_NAME)
    state = _parsed(files, seen)
    # By this machine's clock: asking for the server's takes a put, and who only reads may not put.
    passed = time.time() - seen.put.timestamp()
    return not state.released and passed < state.seconds + _CLOCK_STEP


def _take(files: RemoteFiles, mine: _State, patient: bool) -> tuple[_State | None, str]:
    """(the state before, the tag of mine) when the lease is this process's."""
    first: Tagged | None = None
    until = 0.0
    while True:
        try:
            return None, files.put_new(LEASE_NAME, mine.to_bytes())
        except Changed:
            seen = files.read_tagged(LEASE_NAME)
        theirs = _parsed(files, seen)
        if first is None or time.monotonic() >= until:
            left = 0.0 if theirs.released else _left(files, seen)
            until = time.monotonic() + left
        if theirs.released or left <= 0:
            try:
                return theirs, files.swap(LEASE_NAME, mine.to_bytes(), seen.tag)
            except Changed:
                continue
        first = first or seen
        if not patient or seen.tag != first.tag:
            left = _left(files, seen)
            raise LockedError(
                f"{files.url} is being written by process {theirs.pid} on {theirs.host}, since {theirs.since}; its "
                f"lease ends in {left:.0f} s unless it is renewed. Wait for it or stop it, then run again."
            )
        time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))


def _left(files: RemoteFiles, seen: Tagged) -> float:
    """Seconds that a lease still lasts, by the server's clock."""
    passed = (files.clock() - seen.put).total_seconds()
    return _parsed(files, seen).seconds + _CLOCK_STEP - passed


def _parsed(files: RemoteFiles, seen: Tagged) -> _State:
    try:
        return _State(**json.loads(seen.data))
    except (ValueError, TypeError) as error:
        raise CorruptStore(
            f"{files.locate(LEASE_NAME)} is no lease ({error}). Remove it if nobody collects, then run again."
        ) from error


def _now() -> str:
    return time.strftime("%FT%TZ", time.gmtime())


def _token() -> str:
    return secrets.token_hex(8)
