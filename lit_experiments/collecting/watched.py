"""What can be seen of a run from outside, while it is being collected or afterwards: read from its files alone.

So it works on runs of other processes, and on object storage. Knows nothing of terminals.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

import stores
from lit_experiments.collecting.ended import NAME as ENDED
from lit_experiments.collecting.ended import not_ended
from lit_experiments.collecting.samples import Totals
from lit_experiments.plain import write_json
from stores import lock
from stores.files import Files, open_files

NAME = "planned.json"
State = Literal["collecting", "complete", "stopped"]


@dataclass(frozen=True)
class Part:
    """One process's log. changed: seconds since 1970 of its last commit; NaN where the place does not tell."""

    name: str
    rows: int
    commits: int
    changed: float


@dataclass(frozen=True)
class Look:
    """A run at a moment. planned: samples by stage, empty where the run does not say; holder: who collects, as the lock
    names it; memory: bytes of that process and its children, None elsewhere; at: seconds since 1970; shown: rows
    that all pieces of a store have that was extended, None of another."""

    run: str
    state: State
    planned: dict[str, int]
    parts: Sequence[Part]
    bytes: int
    holder: dict[str, Any]
    memory: int | None
    at: float
    shown: int | None = None

    @property
    def rows(self) -> int:
        """Committed rows of all parts; in a store that was extended, those that all its pieces have."""
        return sum(part.rows for part in self.parts) if self.shown is None else self.shown

    @property
    def planned_samples(self) -> int:
        """Planned samples of all stages; 0 where the run does not say."""
        return sum(self.planned.values())


def note_plan(run: Path, planned: Totals) -> None:
    """Notes in a run's folder how many samples it is to have, for who watches it."""
    write_json(run / NAME, {"samples": planned.samples, "tokens": planned.tokens, "stages": planned.stages})


def look(run: str) -> Look:
    """The run as it is now.

    Raises:
        stores.StoreError: there is no store, or a damaged one.
    """
    path = f"{run.rstrip('/')}/store"
    files = open_files(path)
    holder = lock.holder(path)
    return Look(
        run,
        _state(run, path, holder is not None),
        _planned(run),
        [_part(files, name) for name in sorted(files.names("heads")) if name.endswith(".json")],
        sum(size for _, size in files.walk("parts")),
        holder or {},
        _memory(holder or {}),
        time.time(),
        len(stores.open_store(path)) if files.names("extensions") else None,
    )


def rows_per_second(looks: Sequence[Look]) -> float:
    """Between the first and the last of several looks; NaN from fewer than two, or in no time."""
    if len(looks) < 2 or looks[-1].at <= looks[0].at:
        return float("nan")
    return (looks[-1].rows - looks[0].rows) / (looks[-1].at - looks[0].at)


def _state(run: str, path: str, held: bool) -> State:
    if held:
        return "collecting"
    store = stores.open_store(path)
    if "://" not in run:
        return "stopped" if not_ended(Path(run), store) else "complete"
    files = open_files(run)
    ended = json.loads(files.read(ENDED)) if files.exists(ENDED) else {}
    return "complete" if ended.get("commits") == stores.commits_key(store) else "stopped"


def _planned(run: str) -> dict[str, int]:
    files = open_files(run)
    if not files.exists(NAME):
        return {}
    stages = json.loads(files.read(NAME)).get("stages", {})
    return {str(stage): int(count) for stage, count in stages.items()}


def _part(files: Files, name: str) -> Part:
    head = json.loads(files.read(f"heads/{name}"))
    place = Path(files.locate(f"heads/{name}"))
    changed = place.stat().st_mtime if files.is_local else float("nan")
    return Part(head["part"], head["rows"], head["commits"], changed)


def _memory(holder: dict[str, Any]) -> int | None:
    if not holder.get("pid") or holder.get("host") != socket.gethostname():
        return None
    try:
        process = psutil.Process(holder["pid"])
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
    except psutil.Error:  # it ended meanwhile
        return None
