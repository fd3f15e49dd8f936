"""Whether a collection came to its end: `ended.json` next to the store, written by a command that has nothing left.

It names the commits that were there, so that it says nothing of a store that has grown or changed since.
"""

from __future__ import annotations

import json
from pathlib import Path

from lit_experiments.plain import write_json
from stores import CorruptStore, Store, commits_key, lock
from stores.files import open_files

NAME = "ended.json"


def mark_ended(run: Path, store: Store, shard: str | None = None) -> None:
    """Notes in a run's folder that its store, as it is now, holds everything that was asked for; of a shard, which."""
    write_json(run / NAME, {"rows": len(store), "commits": commits_key(store), "shard": shard})


def shard_of(run: Path | str) -> str | None:
    """The shard that an ended collection was of, as 3/8; None for a whole one. Raises CorruptStore and ValueError."""
    shard = json.loads(open_files(run).read(NAME)).get("shard")
    return shard if isinstance(shard, str) else None


def not_ended(run: Path | str, store: Store) -> str:
    """Why the store of a run, at a folder or URL, cannot be taken as finished; "" where it can: its collection ended
    with these very commits, or no collection of ours made it and none is writing into it."""
    if lock.is_held(store.path):
        return "it is still being collected"
    if not isinstance(store.provenance.get("config"), dict):
        return ""
    files = open_files(run)
    if not files.exists(NAME):
        return "its collection has not come to its end"
    try:
        noted = json.loads(files.read(NAME))["commits"]
    except (CorruptStore, ValueError, KeyError, TypeError) as error:
        return f"{files.locate(NAME)} is damaged ({error})"
    return "" if noted == commits_key(store) else "it has changed since its collection last came to its end"
