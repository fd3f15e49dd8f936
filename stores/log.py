"""All commits of a store, and whether they are all there and this store's: the one place where that is decided, for
readers and for `verify`.

Every commit names the store, part and segment that it was written for and the commit before it; every part's head
(heads.py) names the last. Heads are read before the folders are listed, and a commit that another one or a head names
is looked for even if the listing lacks it, so that writers at work never look like damage. On object stores the heads
alone say what was committed (heads.py): rows files that theirs do not lead to are what a killed writer left.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import CorruptStore, Problem
from .extensions import FOLDER
from .files import Files
from .heads import FOLDER as HEADS
from .heads import Head, head_path, read_head, read_heads
from .rows import PARTS, ForeignCommit, Manifest, Place, parse_name, read_rows
from .segments import Segment
from .store_file import STORE_JSON, Header
from .workers import pool

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Commit:
    """A rows file that was looked at: read, or why not."""

    part: str
    name: str
    manifest: Manifest | None = None
    table: pa.Table | None = None
    error: CorruptStore | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """Orders commits by part, segment number and name."""
        parsed = parse_name(self.name)
        assert parsed is not None
        return self.part, parsed[0], self.name


@dataclass
class Log:
    """`segments` with the wanted columns of their rows (`tables`), in order of part and segment; `problems` with any of
    the commits. `foreign`: store.json and the commits are of two stores, so nothing else can be said.
    """

    segments: list[Segment] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    foreign: bool = False

    def require_whole(self) -> None:
        """Raise CorruptStore with the first problem, if there is one."""
        if self.problems:
            more = f" There are {len(self.problems) - 1} more." if len(self.problems) > 1 else ""
            raise CorruptStore(f"{self.problems[0]}{more} `lit-experiments verify` lists all.")


def read_log(files: Files, header: Header, columns: list[str]) -> Log:
    """Every commit, its rows file checked. Raises NewerFormat for a commit of a later version."""
    checker = _Checker(files, header)
    if checker.problems:  # no list of heads or parts, so no more to be said
        return Log(problems=checker.problems)
    commits = _read_all(files, header.identity, checker.listed(), columns)
    if checker.strangers(commits):
        what = "is of another store than the commits next to it: one of them was put in the other's place"
        return Log(problems=[Problem(files.locate(STORE_JSON), what)], foreign=True)
    log = Log(problems=checker.check(commits) + _lost_extensions(files, header, commits))
    for commit in commits:
        if commit.manifest is not None:
            place = Place(header.identity, *commit.key[:2])
            log.segments.append(Segment(files, header.backend, place, commit.name, commit.manifest))
            log.tables.append(commit.table)
    return log


def _lost_extensions(files: Files, header: Header, commits: list[_Commit]) -> list[Problem]:
    """The records of extensions that commits name, where they are missing."""
    named = max((commit.manifest.extensions for commit in commits if commit.manifest), default=0)
    if named <= len(header.extensions):
        return []
    return [Problem(files.locate(f"{FOLDER}/{named:05d}.json"), "is missing, though a commit names it")]


def _read_all(files: Files, store: str | None, keys: set[tuple[str, str]], columns: list[str]) -> list[_Commit]:
    """The named commits, and all that come before them, in order."""

    def read(key: tuple[str, str]) -> _Commit:
        part, name = key
        parsed = parse_name(name)
        assert parsed is not None
        try:
            table, manifest = read_rows(files, f"{PARTS}/{part}/{name}", columns, Place(store, part, parsed[0]))
        except CorruptStore as error:
            return _Commit(part, name, error=error)
        return _Commit(part, name, manifest, table)

    known: dict[tuple[str, str], _Commit] = {}
    while keys:
        known |= {(commit.part, commit.name): commit for commit in pool().map(read, sorted(keys))}
        before = {(c.part, c.manifest.previous) for c in known.values() if c.manifest}
        keys = {(part, name) for part, name in before if name and parse_name(name)} - known.keys()
    return sorted(known.values(), key=lambda commit: commit.key)


class _Checker:
    """Heads and folders of one store, and what is wrong with them and with its commits."""

    def __init__(self, files: Files, header: Header) -> None:
        self.files, self.store = files, header.identity
        self.problems: list[Problem] = []
        self.heads: dict[str, Head | None] = {}
        self.bad_parts: set[str] = set()
        bound = self.store is not None  # from version 2 on
        for folder in (HEADS, PARTS) if bound else (PARTS,):
            obstacle = files.obstacle(folder)
            if obstacle is not None:
                self._note(folder, obstacle)
        if self.problems:
            return
        self.heads, damaged = read_heads(files) if bound else ({}, [])
        self.part_names = files.names(PARTS)
        self._damaged_heads = damaged

    def _note(self, rel: str, what: str) -> None:
        self.problems.append(Problem(self.files.locate(rel), what))

    def listed(self) -> set[tuple[str, str]]:
        """(part, rows file name) of what lies in the folders and of what the store's heads name."""
        keys = {(h.part, h.last) for h in self.heads.values() if h and h.store == self.store and h.last is not None}
        for part in self.part_names:
            if self._is_fenced(part):
                head = self.heads[part]
                keys |= {(part, head.last)} if head and head.store == self.store and head.last is not None else set()
            elif self.files.obstacle(f"{PARTS}/{part}") is None:
                keys |= {(part, name) for name in self.files.names(f"{PARTS}/{part}") if parse_name(name)}
        return keys

    def _is_fenced(self, part: str) -> bool:
        """Whether a part's head alone says what it holds; also of a head that was made since the heads were read."""
        if part not in self.heads and not self.files.is_local and self.files.exists(head_path(part)):
            with suppress(CorruptStore):  # then it is missed below
                self.heads[part] = read_head(self.files, part)
        head = self.heads.get(part)
        return head is not None and head.fenced

    def strangers(self, commits: list[_Commit]) -> bool:
        """Whether everything here is of another store than store.json."""
        stores = {h.store for h in self.heads.values() if h is not None}
        stores |= {c.error.store for c in commits if isinstance(c.error, ForeignCommit) and c.error.store}
        return bool(stores) and self.store not in stores and not any(c.manifest for c in commits)

    def check(self, commits: list[_Commit]) -> list[Problem]:
        """All problems, those of heads and folders first."""
        self.problems += self._damaged_heads
        by_part = {part: list(group) for part, group in itertools.groupby(commits, key=lambda c: c.part)}
        if self._whole_folder_is_gone(commits):
            return self.problems
        for part in sorted({*self.part_names, *by_part, *self.heads}):
            if not self._check_folder(part):
                self._check_part(part, by_part.get(part, []))
        return self.problems

    def _whole_folder_is_gone(self, commits: list[_Commit]) -> bool:
        heads = [h for h in self.heads.values() if h is not None and h.commits]
        if heads and not self.part_names:
            rows = sum(head.rows for head in heads)
            self._note(PARTS, f"missing or empty, though {HEADS}/ names {len(heads)} parts with {rows} rows")
            return True
        if commits and not self.heads and self.store is not None and not self.files.names(HEADS):
            self._note(HEADS, f"missing or empty, though {PARTS}/ holds {len(commits)} commits")
        return False

    def _check_folder(self, part: str) -> bool:
        """Whether something else stands where the part should be. Stray plain files are nobody's business."""
        obstacle = self.files.obstacle(f"{PARTS}/{part}")
        if obstacle is None or (part not in self.heads and obstacle.startswith("is a file")):
            return obstacle is not None
        self._note(f"{PARTS}/{part}", obstacle)
        return True

    def _check_part(self, part: str, commits: list[_Commit]) -> None:
        """What is wrong with one part's commits and its head."""
        folder, head = f"{PARTS}/{part}", self.heads.get(part)
        none_read = not any(c.manifest for c in commits)
        foreign = [c.error for c in commits if isinstance(c.error, ForeignCommit)]
        if head is not None and head.store != self.store and not foreign:
            self._note(head_path(part), "is the head of another store's part")
        elif none_read and foreign:  # one problem, however many commits the part has
            self._note(folder, f"{foreign[0]} The part has {len(foreign)} such commits.")
        elif none_read and commits and head is not None and not any(self._exists(c) for c in commits):
            lost = f"{head.commits} commits with {head.rows} rows"
            self._note(folder, f"its commits are missing: {head_path(part)} names {lost}")
        else:
            self._check_commits(commits)
            if commits and part not in self.heads and self.store is not None and self.files.names(HEADS):
                self._require_head(part, len(commits))

    def _exists(self, commit: _Commit) -> bool:
        return self.files.exists(f"{PARTS}/{commit.part}/{commit.name}")

    def _check_commits(self, commits: list[_Commit]) -> None:
        """Each can be read, and follows the one before it."""
        for commit in commits:
            if commit.error is not None and self._exists(commit):
                self._note(f"{PARTS}/{commit.part}/{commit.name}", str(commit.error))
            elif commit.error is not None:
                after = [c.name for c in commits if c.manifest is not None and c.manifest.previous == commit.name]
                by = f"{after[0]} follows it" if after else f"{head_path(commit.part)} names it as the last commit"
                self._note(f"{PARTS}/{commit.part}/{commit.name}", f"missing, though {by}")
        line = [c for c in commits if not isinstance(c.error, ForeignCommit)]
        for before, commit in zip([None, *line], line, strict=False):
            expected = before and before.name
            if commit.manifest is not None and commit.manifest.previous != expected:
                what = f"follows {commit.manifest.previous}, but {expected} lies before it"
                self._note(f"{PARTS}/{commit.part}/{commit.name}", what)

    def _require_head(self, part: str, commits: int) -> None:
        """The head of a part that had none when the heads were read: it was made since, or something is wrong."""
        try:
            read_head(self.files, part)
        except CorruptStore as error:
            what = f"{error} The part has {commits} commits: its head was lost, or the part was copied here."
            self._note(head_path(part), what)
