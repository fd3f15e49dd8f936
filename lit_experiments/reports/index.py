"""The index of a folder of runs: every run with its model, data, rows, state and headline results.

Reads what collections, tasks and `write_page` left in each run's folder. Does not know: any study.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from lit_experiments.reports.document import html_document
from lit_experiments.reports.html import escape
from lit_experiments.reports.write import PAGE, SUMMARY, write_text
from stores import Store, StoreError, commits_key, copies_in, open_store, runs_in

INDEX = "index.html"
_RESULTS = "results.json"  # what a finished task writes last
_CERTIFICATE = "certificate.json"  # of a run's store, and which one results were made from
_AUDIT = Path("audit", "audit.json")  # of a run's claims
_SHORT = 12  # characters of a certificate that are shown
State = Literal["up to date", "stale", "unfinished"]
_TONES: dict[State, str] = {"up to date": "for", "stale": "against", "unfinished": "open"}
_HEADS = ("run", "model", "rows", "collected", "results", "state", "what came out")


@dataclass(frozen=True)
class TaskEntry:
    """Results of one task. title, outcome: of its page, empty where it has none yet."""

    folder: Path
    title: str
    outcome: Sequence[str]
    state: State
    reason: str


@dataclass(frozen=True)
class RunEntry:
    """A run's folder with what its store says, and its tasks in order of their names. certificate: that the folder
    remembers of the store as it is, "" for none."""

    folder: Path
    experiment: str
    model: str
    rows: int
    collected: str
    tasks: Sequence[TaskEntry]
    certificate: str = ""


def write_index(folder: Path) -> tuple[Path, list[RunEntry]]:
    """Writes index.html into a folder of runs; returns it, and what it lists: the runs in it, then those on object
    storage or the Hub whose working copies lie below it.

    Raises:
        FileNotFoundError: no folder in it is a run.
    """
    runs = [read_run(run, run / "store") for run in (*runs_in(folder), *copies_in(folder))]
    if not runs:
        raise FileNotFoundError(folder)
    page = folder / INDEX
    write_text(page, html_document(f"Runs in {folder.absolute().name}", index_body(folder, runs)))
    return page, runs


def read_run(folder: Path, path: Path) -> RunEntry:
    """What a run's folder says of itself. path: of its store."""
    try:
        store = open_store(path)
    except StoreError as error:
        return RunEntry(folder, "damaged", str(error), 0, "-", [])
    config = store.provenance.get("config", {})
    options = config.get("options", {})
    adapter = f" + {options['adapter']}" if options.get("adapter") else ""
    known = _json(folder / _CERTIFICATE)
    certificate = str(known.get("root", "")) if known.get("commits") == commits_key(store) else ""
    made = [path.parent for path in sorted(folder.glob("*/config.yaml")) if _is_current(path.parent)]
    tasks = [*_audit(folder), *(_task(path, store, certificate) for path in made)]
    return RunEntry(
        folder,
        str(config.get("exp", "-")),
        f"{options.get('model', '-')}{adapter}",
        len(store),
        str(store.provenance.get("started", "-")).replace("T", " "),
        tasks,
        certificate,
    )


def _is_current(folder: Path) -> bool:
    """Whether a folder holds a task's results that have not been set aside."""
    return ".old-" not in folder.name


def _task(folder: Path, store: Store, certificate: str) -> TaskEntry:
    summary, results = _json(folder / SUMMARY), _json(folder / _RESULTS)
    title, outcome = str(summary.get("title", folder.name)), list(summary.get("outcome", []))
    if not results:
        return TaskEntry(folder, folder.name, [], "unfinished", "it was begun and has not ended")
    rows = results.get("identity", {}).get("rows")
    if rows is not None and rows != len(store):
        return TaskEntry(folder, title, outcome, "stale", f"made from {rows:,} rows; the store has {len(store):,} now")
    made_from = str(_json(folder / _CERTIFICATE).get("root", ""))
    if made_from and certificate and made_from != certificate:
        return TaskEntry(
            folder, title, outcome, "stale", f"made from another content, certificate {made_from[:_SHORT]}"
        )
    return TaskEntry(folder, title, outcome, "up to date", "")


def _audit(folder: Path) -> list[TaskEntry]:
    """The run's audit, if there is one; stale where what decided a claim is no longer in any result."""
    audit = _json(folder / _AUDIT)
    if not audit:
        return []
    out, page = (folder / _AUDIT).parent, _json((folder / _AUDIT).with_name(SUMMARY))
    results = [_json(path).get("claims") or [] for path in sorted(folder.glob("*/result.json"))]
    evidence = [claim["evidence"] for claims in results for claim in claims]
    old = [claim["id"] for claim in audit["claims"] if claim["stale"] or claim["numbers"] not in evidence]
    title, outcome = str(page.get("title", out.name)), list(page.get("outcome", []))
    if old:
        return [TaskEntry(out, title, outcome, "stale", f"of other results: {', '.join(old)}")]
    return [TaskEntry(out, title, outcome, "up to date", "")]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def index_body(folder: Path, runs: Sequence[RunEntry], rows: Callable[[RunEntry], str] | None = None) -> str:
    """The table of runs, as HTML. rows: the address of the page with a run's rows, where there is one."""
    heads = "".join(f'<th scope="col" class="word"><button type="button">{head}</button></th>' for head in _HEADS)
    lines = "".join(_rows(folder, run, rows(run) if rows else "") for run in runs)
    table = f'<table class="sortable" id="runs"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    search = '<input class="filter" type="search" placeholder="filter runs" data-table="runs" aria-label="Filter runs">'
    return f'<h1>Runs in {escape(folder.absolute().name)}</h1>{search}<div class="grid index">{table}</div>'


def _rows(folder: Path, run: RunEntry, address: str) -> str:
    place = Path(os.path.relpath(run.folder, folder)).as_posix()  # of a working copy it says where the run lies
    name = escape(run.folder.name if place == "." else place)
    name = f'<a href="{escape(address)}">{name}</a>' if address else name
    certificate = f"<br><small>certificate {run.certificate[:_SHORT]}</small>" if run.certificate else ""
    cells = f'<td class="word">{name}{certificate}</td><td class="word">{escape(run.model)}</td>'
    cells += f'<td data-value="{run.rows}">{run.rows:,}</td><td class="word">{escape(run.collected)}</td>'
    if not run.tasks:
        return (
            f'<tr>{cells}<td class="word">-</td><td class="void word">nothing trained or analyzed</td><td></td></tr>\n'
        )
    return "".join(f"<tr>{cells}{_task_cells(folder, task)}</tr>\n" for task in run.tasks)


def _task_cells(folder: Path, task: TaskEntry) -> str:
    page = task.folder / PAGE
    name = escape(task.title)
    if page.is_file():
        address = quote(Path(os.path.relpath(page, folder)).as_posix())
        name = f'<a href="{address}">{name}</a>'
    reason = f"<br><small>{escape(task.reason)}</small>" if task.reason else ""
    headline = escape(task.outcome[0]) if task.outcome else ""
    state = f'<td class="{_TONES[task.state]} word">{task.state}{reason}</td>'
    return f'<td class="words">{name}</td>{state}<td class="words">{headline}</td>'
