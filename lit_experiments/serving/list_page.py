"""The page of a run: what it is, its other pages, and its rows, some at a time and searched by id or text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from lit_experiments.reports.html import escape
from lit_experiments.reports.index import read_run
from lit_experiments.reports.write import PAGE as REPORT
from lit_experiments.serving.answers import Answer
from lit_experiments.serving.document import document, paragraphs
from lit_experiments.serving.rows import MOST_SEARCHED, PAGE, Line, Lines, page_of
from lit_experiments.serving.runs import Run
from lit_experiments.serving.view import ROW, ROWS, View
from stores import Store, lock

_TEXT = 280  # characters of a text in the list


def list_page(run: Run, store: Store, view: View) -> Answer:
    """The page."""
    lines = page_of(store, view.start, view.words)
    body = f"<h1>{escape(run.name)}</h1>{_about(run, store)}{_pages(run)}{_search(view)}"
    body += _listed(view, lines, len(store)) + _steps(view, lines, len(store))
    return document(f"Rows of {run.name}", body, [("Runs", "/")])


def state_note(run: Run) -> str:
    """That a run is being collected just now, as a paragraph; "" where nobody does."""
    if lock.holder(run.store) is None:
        return ""
    return '<p class="note live">This run is being collected; load the page again to see what came since.</p>'


def _about(run: Run, store: Store) -> str:
    options = store.provenance.get("config", {}).get("options", {})
    model = f"{options['model']}, " if options.get("model") else ""
    fields = ", ".join(field.name for field in store.schema.fields) or "none"
    text = f"{model}{len(store):,} rows. Fields: {fields}."
    return f'<p class="note">{escape(text)}</p>{state_note(run)}'


def _pages(run: Run) -> str:
    """Links to the pages of the run's results, with their state."""
    links = []
    for task in read_run(run.folder, run.store).tasks:
        if (task.folder / REPORT).is_file():
            place = task.folder.relative_to(run.folder)
            state = "" if task.state == "up to date" else f" ({task.state})"
            links.append((f"{task.title}{state}", place / REPORT))
    if (run.folder / REPORT).is_file():
        links.append(("Page of the collection", Path(REPORT)))
    if not links:
        return ""
    items = "".join(
        f'<li><a href="{run.base}{quote(place.as_posix())}">{escape(title)}</a></li>' for title, place in links
    )
    return f'<nav aria-label="Pages of this run"><ul class="pages">{items}</ul></nav>'


def _search(view: View) -> str:
    run = f'<input type="hidden" name="run" value="{escape(view.run)}">'
    field = f'<input id="words" type="search" name="words" value="{escape(view.words)}" placeholder="in id or text">'
    label = '<label for="words">Find rows</label>'
    return f'<form class="bar" role="search" action="{ROWS}">{run}{label}{field}<button>Find</button></form>'


def _listed(view: View, lines: Lines, rows: int) -> str:
    if not rows:
        return paragraphs("No row has been committed yet.")
    if not lines.lines:
        return paragraphs(f"No row from {lines.start + 1:,} to {lines.after:,} holds this in its id or text.")
    items = "".join(_item(view, line) for line in lines.lines)
    return f'<ol class="rows" aria-label="Rows">{items}</ol>'


def _item(view: View, line: Line) -> str:
    address = escape(view.address(ROW, row=line.number + 1, start=0, words=""))
    labels = "".join(f"<span>{escape(name)} {escape(_short(str(value)))}</span>" for name, value in line.labels)
    text = escape(line.text if len(line.text) <= _TEXT else line.text[:_TEXT] + "…")
    head = f'<a href="{address}"><b>{line.number + 1:,}</b> {escape(line.sample_id)}</a>'
    return f'<li>{head}<p class="text">{text}</p><p class="labels">{labels}</p></li>'


def _short(text: str) -> str:
    return text if len(text) <= PAGE else text[:PAGE] + "…"


def _steps(view: View, lines: Lines, rows: int) -> str:
    links = []
    if lines.start:
        back = 0 if view.words else max(0, lines.start - PAGE)
        name = "First matches" if view.words else "Previous rows"
        links.append(f'<a rel="prev" href="{escape(view.address(ROWS, start=back))}">{name}</a>')
    if view.words:
        searched = f"Searched rows {lines.start + 1:,} to {lines.after:,} of {rows:,}."
    else:
        searched = f"Rows {lines.start + 1:,} to {lines.after:,} of {rows:,}." if rows else ""
    links.append(f"<span>{searched}</span>" if rows else "")
    if lines.after < rows:
        name = f"Search the next {min(MOST_SEARCHED, rows - lines.after):,}" if view.words else "Next rows"
        links.append(f'<a rel="next" href="{escape(view.address(ROWS, start=lines.after))}">{name}</a>')
    return f'<nav class="bar steps" aria-label="More rows">{"".join(links)}</nav>'
