"""The head of each part's log: how far it was committed, kept apart from the part, so that what is lost is missed.

`heads/<part>.json` is made with the part, before its first commit, and replaced after each commit. So it never runs
ahead of the commits, unless some were lost. A writer killed between a commit and its head leaves the head one behind,
which is no fault; the next launch's writer brings it up to date.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from . import sealed
from .errors import CorruptStore, Problem
from .files import Files
from .rows import PARTS, Place, parse_name, read_rows
from .workers import pool

FOLDER = "heads"
_SUFFIX = ".json"


@dataclass(frozen=True)
class Head:
    """What a part's log holds at least: `commits` of `rows` rows in all, the last of them in the file `last`."""

    store: str
    part: str
    commits: int = 0
    rows: int = 0
    last: str | None = None

    def after(self, name: str, rows: int) -> Head:
        """The head with one more commit."""
        return Head(self.store, self.part, self.commits + 1, self.rows + rows, name)


def head_path(part: str) -> str:
    return f"{FOLDER}/{part}{_SUFFIX}"


def publish_head(files: Files, head: Head) -> None:
    """Put a head in the place of the part's earlier one, at once and durably."""
    files.publish(head_path(head.part), sealed.seal(asdict(head)))


def start_head(files: Files, store: str, part: str) -> Head:
    """The head of a new part, made durable with its folder."""
    head = Head(store, part)
    files.make_folder(FOLDER)
    publish_head(files, head)
    files.sync([FOLDER])
    return head


def read_head(files: Files, part: str) -> Head:
    """The head of one part. Raises CorruptStore if it is missing, damaged, or another's."""
    rel = head_path(part)
    where = files.locate(rel)
    data = files.read(rel)
    document = sealed.parse(data, where)
    sealed.check(data, document, where)
    try:
        head = Head(*(document[name] for name in ("store", "part", "commits", "rows", "last")))
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

    names = [name for name in files.names(FOLDER) if name.endswith(_SUFFIX) and not name.startswith(".")]
    parts = [name.removesuffix(_SUFFIX) for name in names]
    found = dict(zip(parts, pool().map(load, parts), strict=True))
    problems = [item for item in found.values() if isinstance(item, Problem)]
    return {part: item if isinstance(item, Head) else None for part, item in found.items()}, problems


def update_heads(files: Files, launch: str) -> None:
    """Bring the heads of earlier launches up to date, where a writer was killed between a commit and its head.

    For a launch's first writer: nobody else writes into those parts any more. Raises CorruptStore where an earlier
    part can't be read.
    """
    heads, _ = read_heads(files)
    for head in heads.values():
        if head is not None and not head.part.startswith(f"{launch}-r"):
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
