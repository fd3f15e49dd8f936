"""The part of a row's page that shows the rows nearest to it."""

from __future__ import annotations

from lit_experiments.controls.fields import StateField
from lit_experiments.reports.html import escape
from lit_experiments.serving.document import paragraphs
from lit_experiments.serving.form import plain, select
from lit_experiments.serving.nearest import Nearest, nearest_rows
from lit_experiments.serving.rows import Row, lines_at
from lit_experiments.serving.states import fields_of_states
from lit_experiments.serving.view import ROW, View
from stores import Store

SECONDS = 20.0
"""After which a search ends with what it has seen."""
_TEXT = 200  # characters of a neighbour's text


def nearest_part(store: Store, row: Row, view: View) -> str:
    """The section; the search is made where the address asks for it. "" where the store holds no states."""
    fields = fields_of_states(store)
    if not fields:
        return ""
    field = next((field for field in fields if field.name == view.field), fields[0])
    layer = view.at if view.at in field.layers else field.layers[-1]
    choices = select("field", "States", plain(f.name for f in fields), field.name, "view") if len(fields) > 1 else ""
    choices += select("at", "Layer", plain(field.layers), layer, "view")
    checked = " checked" if view.near else ""
    choices += f'<label><input id="near" type="checkbox" name="near" value="1" form="view"{checked}> search</label>'
    body = f'<div class="bar">{choices}<button form="view" class="show">Show</button></div>'
    if view.near:
        body += _listed(store, row, view, nearest_rows(store, row.number, field, layer, SECONDS))
    body += paragraphs(_method(field))
    return f'<section aria-labelledby="nearest"><h2 id="nearest">Nearest rows</h2>{body}</section>'


def _method(field: StateField) -> str:
    state = f"the state of each row's last {field.dim.replace('_', ' ')}" if field.ragged else "each row's state"
    return f"By the cosine of {field.name} at this layer: {state}."


def _listed(store: Store, row: Row, view: View, nearest: Nearest | None) -> str:
    if nearest is None:
        return paragraphs("This row has no state here, so nothing is near to it.")
    lines = lines_at(store, [neighbour.row for neighbour in nearest.neighbours])
    items = ""
    for line, neighbour in zip(lines, nearest.neighbours, strict=True):
        address = escape(view.address(ROW, row=line.number + 1))
        head = f'<a href="{address}"><b>{neighbour.cosine:.4f}</b> {escape(line.sample_id)}</a>'
        items += f'<li>{head}<p class="text">{escape(line.text[:_TEXT])}</p></li>'
    seen = f"{nearest.searched:,} of {nearest.of:,} other rows were searched"
    seen += f", {nearest.without:,} have no state" if nearest.without else ""
    early = nearest.searched + nearest.without < nearest.of
    seen += f"; after {SECONDS:g} seconds the search ended, the rest may hold nearer ones." if early else "."
    return f'<ol class="rows near" aria-label="Nearest rows">{items}</ol>{paragraphs(seen)}'
