"""The certificate of a run's store, computed once and remembered as `certificate.json` in the run's folder.

What is remembered holds for the very commits that it was computed from; only `verify --certificate` and the verb
`certificate` read the whole store again. Results say in a file of the same name which certificate they were made from.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.collecting.ended import not_ended
from lit_experiments.plain import plain, write_json
from stores import NotWritable, Store, certify, commits_key
from stores.files import open_files

NAME = "certificate.json"


@dataclass(frozen=True)
class Certified:
    """root: the certificate of a store, "" where it has none; reason: why it has none; commits: `commits_key` of the
    store, or of the store that results were made from."""

    root: str
    reason: str
    rows: int
    commits: str

    def __str__(self) -> str:
        return self.root or f"none: {self.reason}"


def certificate_of(run: Path, store: Store) -> Certified:
    """The certificate of a run's store, remembered or computed now; none while the store is not finished.

    Raises:
        CorruptStore: the store has to be read, and is damaged.
    """
    key = commits_key(store)
    reason = not_ended(run, store)
    if reason:
        return Certified("", reason, len(store), key)
    known = read_certified(run)
    if known is not None and known.commits == key and known.root:
        return known
    return remember(run, Certified(certify(store).root, "", len(store), key))


def remember(run: Path | str, certified: Certified) -> Certified:
    """Writes a certificate into a run's folder or under its URL, if it can be written; returns it."""
    files = open_files(run)
    with suppress(OSError, NotWritable):  # of a run that is only to be read it is computed again
        if files.is_local:
            write_json(Path(run) / NAME, certified)
        else:
            files.publish(NAME, json.dumps(plain(certified), indent=2).encode())
    return certified


def read_certified(folder: Path) -> Certified | None:
    """What a folder of a run or of results says; None where it says nothing that can be read."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Certified(content["root"], content["reason"], content["rows"], content["commits"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
