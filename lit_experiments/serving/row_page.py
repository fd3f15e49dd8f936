"""The page of one row: its text coloured by a number, its states' norms, the rows nearest to it, its columns."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from lit_experiments.reports.blocks import Curves, Panel, Series
from lit_experiments.reports.cells import spread
from lit_experiments.reports.html import chart, escape
from lit_experiments.serving.answers import Answer, Refused
from lit_experiments.serving.document import document, paragraphs
from lit_experiments.serving.list_page import state_note
from lit_experiments.serving.nearest_part import nearest_part
from lit_experiments.serving.rows import PAGE, Row, read_row
from lit_experiments.serving.runs import Run
from lit_experiments.serving.states import VECTORS, fields_of_states, norms_by_layer
from lit_experiments.serving.strip_part import strip_part
from lit_experiments.serving.view import ROW, ROWS, View
from stores import Store

_LONG = 2000  # characters of a column that are shown


def row_page(run: Run, store: Store, view: View) -> Answer:
    """The page. Raises Refused where there is no such row."""
    if not 1 <= view.row <= len(store):
        raise Refused(HTTPStatus.NOT_FOUND, f"There is no row {view.row:,}: {run.name} has {len(store):,} rows.")
    row = read_row(store, view.row - 1)
    norms = _norms(row)
    parts = strip_part(run, row, view)
    parts += f'<section aria-labelledby="norms"><h2 id="norms">Norms by layer</h2>{norms}</section>'
    parts += nearest_part(store, row, view)
    parts += f'<section aria-labelledby="columns"><h2 id="columns">Columns</h2>{_columns(row)}</section>'
    body = f"<h1>{escape(row.columns['sample_id'])}</h1>{_steps(view, len(store))}{state_note(run)}"
    body += f'<div class="parts">{parts}</div>'
    here = view.address(ROWS, row=0, start=row.number // PAGE * PAGE)
    title = f"Row {view.row:,} of {run.name}"
    return document(title, body, [("Runs", "/"), (run.name, here)], charts="chart" in norms)


def _steps(view: View, rows: int) -> str:
    """To the rows before and after, and the form that all choices of the page belong to."""
    links = []
    for rel, name, number in (("prev", "← Previous", view.row - 1), ("next", "Next →", view.row + 1)):
        inside = 1 <= number <= rows
        address = f' rel="{rel}" href="{escape(view.address(ROW, row=number))}"' if inside else ' aria-disabled="true"'
        links.append(f"<a{address}>{name}</a>")
    run = f'<input type="hidden" name="run" value="{escape(view.run)}">'
    place = f'<input id="row" name="row" inputmode="numeric" size="6" value="{view.row}" pattern="[0-9]+">'
    form = f'<form id="view" action="{ROW}">{run}<label>Row {place} of {rows:,}</label></form>'
    return f'<nav class="bar steps" aria-label="Rows">{"".join(links)}{form}</nav>'


def _norms(row: Row) -> str:
    fields = fields_of_states(row.part)
    if not fields:
        known = ", ".join(f"{field.name} ({', '.join(field.dims)})" for field in row.part.schema.fields) or "none"
        return paragraphs(
            f"This store holds no hidden states: no field of floats whose last dim is called {VECTORS[0]} (or "
            f"{', '.join(VECTORS[1:])}). Its fields: {known}."
        )
    measured = [norms_by_layer(row, field) for field in fields]
    series = [Series(norms.field.name, norms.field.layers, norms.ranges) for norms in measured if norms.entries]
    notes = [f"{n.field.name}: this row has no entries." for n in measured if not n.of]
    notes += [
        f"{n.field.name}: {n.entries} of its {n.of:,} entries, evenly spaced." for n in measured if n.entries < n.of
    ]
    if all(len(n.ranges) == 1 for n in measured):
        lines = [f"{n.field.name} at {n.field.layers[0]}: {spread(n.ranges[0], 2)}" for n in measured if n.entries]
        return paragraphs("\n".join([*lines, *notes]), kind="norm")
    caption = "Euclidean norm of the row's states: mean over its entries, band from the smallest to the largest."
    curve = chart(Curves("norms", caption, "layer", [Panel("", series, "norm")])) if series else ""
    return f"<figure>{curve}<figcaption>{caption}</figcaption></figure>{paragraphs(chr(10).join(notes))}"


def _columns(row: Row) -> str:
    kinds = {column.name: column for column in row.part.schema.columns}
    lines = []
    for name, value in row.columns.items():
        meaning = kinds[name].description if name in kinds else ""
        title = f' title="{escape(meaning)}"' if meaning else ""
        lines.append(f"<dt{title}>{escape(name)}</dt><dd>{escape(_shown(value))}</dd>")
    return f'<dl class="columns">{"".join(lines)}</dl>'


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text):,} characters)"
