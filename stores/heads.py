"""The head of each part's log: how far it was committed, kept apart from the part, so that what is lost is missed.

`heads/<part>.json` is made with the part, before its first commit, and replaced after each commit. So it never runs
ahead of the commits, unless some were lost. A writer killed between a commit and its head leaves the head one behind,
which is no fault; the next launch's writer brings it up to date.

On an object store the replacement of the head is itself the commit, by a put that is conditional on the head that this
writer made last: a head is *fenced*, and what it does not name is not there. So whoever takes a run over closes the
heads of earlier launches (fencing.py), and a writer of theirs that was only asleep can commit nothing more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from . import sealed
from .errors import CorruptStore, LeaseLost, Problem
from .files import Files
from .remote_files import Changed, RemoteFiles
from .rows import PARTS, Place, parse_name, read_rows
from .workers import pool

FOLDER = "heads"
_SUFFIX = ".json"


@dataclass(frozen=True)
class Head:
    """What a part's log holds at least: `commits` of `rows` rows in all, the last of them in the file `last`; if
    `fenced`, exactly that. `closed`: nothing more is to be committed. `writer`: random, so that no two processes take a
    head for their own.
    """

    store: str
    part: str
    commits: int = 0
    rows: int = 0
    last: str | None = None
    fenced: bool = False
    closed: bool = False
    writer: str = ""

    def after(self, name: str, rows: int) -> Head:
        """The head with one more commit."""
        return replace(self, commits=self.commits + 1, rows=self.rows + rows, last=name)

    def to_bytes(self) -> bytes:
        """The content of its file. Without a fence it says nothing of it."""
        fence = ("fenced", "closed", "writer")
        return sealed.seal({key: value for key, value in asdict(self).items() if self.fenced or key not in fence})


def head_path(part: str) -> str:
    return f"{FOLDER}/{part}{_SUFFIX}"


def publish_head(files: Files, head: Head) -> None:
    """Put a head in the place of the part's earlier one, at once and durably."""
    files.publish(head_path(head.part), head.to_bytes())


def start_head(files: Files, store: str, part: str) -> Head:
    """The head of a new part, made durable with its folder."""
    head = Head(store, part)
    files.make_folder(FOLDER)
    publish_head(files, head)
    files.sync([FOLDER])
    return head


class OwnHead:
    """The head of the part that a process writes.

    Raises LeaseLost, in every method, where an object store's head was closed by whoever took the run over.
    """

    def __init__(self, files: Files, store: str, part: str) -> None:
        """Makes the head of a new part, durable with its folder."""
        self._files = files
        self._tag = ""
        if isinstance(files, RemoteFiles):
            self.head = Head(store, part, fenced=True, writer=secrets.token_hex(8))
            with self._unless_closed():
                self._tag = files.put_new(head_path(part), self.head.to_bytes())
        else:
            self.head = start_head(files, store, part)

    def require_open(self) -> None:
        """Looks whether commits may still be made, before bytes are sent for nothing."""
        if isinstance(self._files, RemoteFiles) and self._files.tag(head_path(self.head.part)) != self._tag:
            raise self._lost()

    def advance(self, name: str, rows: int) -> None:
        """Takes the commit in the rows file `name` up; on an object store that makes it a commit."""
        head = self.head.after(name, rows)
        if isinstance(self._files, RemoteFiles):
            with self._unless_closed():
                self._tag = self._files.swap(head_path(head.part), head.to_bytes(), self._tag)
        else:
            publish_head(self._files, head)
        self.head = head

    @contextmanager
    def _unless_closed(self) -> Iterator[None]:
        try:
            yield
        except Changed as error:
            raise self._lost() from error

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"{self._files.locate(head_path(self.head.part))} was closed: another collection took this run over after "
            f"the lease of this one had ended. The {self.head.rows} rows that this process committed are whole; what "
            "it computed since, the other one computes. Next: let that one go on; end this one for good."
        )


def read_head(files: Files, part: str) -> Head:
    """The head of one part. Raises CorruptStore if it is missing, damaged, or another's."""
    rel = head_path(part)
    return parse_head(files.read(rel), part, files.locate(rel))


def parse_head(data: bytes, part: str, where: str) -> Head:
    """The head of one part from its file's content. Raises CorruptStore if it is damaged, or another's."""
    document = sealed.parse(data, where)
    sealed.check(data, document, where)
    try:
        numbers = (document[name] for name in ("store", "part", "commits", "rows", "last"))
        fence = {name: document[name] for name in ("fenced", "closed", "writer") if name in document}
        head = Head(*numbers, **fence)
        if head.last is not None and parse_name(head.last) is None:
            raise ValueError(f"{head.last!r} names no commit")
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(f"{where} is no head of a part: {error!r}.") from error
    if head.part != part:
        raise CorruptStore(f"{where} is the head of part {head.part!r}: it was copied or renamed.")
    return head


def read_heads(files: Files) -> tuple[dict[str, Head | None], list[Problem]]:
    """Heads by part, None for one that can't be read, and what is wrong with those."""

    def load(part: str) -> Head | Problem:
        try:
            return read_head(files, part)
        except CorruptStore as error:
            return Problem(files.locate(head_path(part)), str(error))

    parts = parts_with_heads(files)
    loaded = dict(zip(parts, pool().map(load, parts), strict=True))
    problems = [item for item in loaded.values() if isinstance(item, Problem)]
    return {part: item if isinstance(item, Head) else None for part, item in loaded.items()}, problems


def parts_with_heads(files: Files) -> list[str]:
    """The parts whose heads lie in their folder."""
    names = [name for name in files.names(FOLDER) if name.endswith(_SUFFIX) and not name.startswith(".")]
    return [name.removesuffix(_SUFFIX) for name in names]


def update_heads(files: Files, launch: str) -> None:
    """Bring the heads of earlier launches up to date, where a writer was killed between a commit and its head. Heads
    that are fenced are never behind.

    For a launch's first writer: nobody else writes into those parts any more. Raises CorruptStore where an earlier
    part can't be read.
    """
    heads, _ = read_heads(files)
    for head in heads.values():
        if head is not None and not head.fenced and not head.part.startswith(f"{launch}-r"):
            newer = _later_commits(files, head)
            for name in newer:
                place = Place(head.store, head.part, _number(name))
                head = head.after(name, read_rows(files, f"{PARTS}/{head.part}/{name}", [], place)[1].rows)
            if newer:
                publish_head(files, head)


def _later_commits(files: Files, head: Head) -> list[str]:
    """Rows files behind the one that the head names, in order."""
    last = -1 if head.last is None else _number(head.last)
    names = [name for name in files.names(f"{PARTS}/{head.part}") if parse_name(name)]
    return sorted((name for name in names if _number(name) > last), key=_number)


def _number(name: str) -> int:
    """The segment number of a rows file."""
    parsed = parse_name(name)
    assert parsed is not None
    return parsed[0]
