"""The part of a row's page that shows its text, token by token, coloured by the number that was chosen."""

from __future__ import annotations

import math

import numpy as np

from lit_experiments.reports.cells import significant
from lit_experiments.reports.html import escape, token_spans
from lit_experiments.serving.document import paragraphs
from lit_experiments.serving.form import Option, plain, select
from lit_experiments.serving.numbers import MOST_PIECES, Number, numbers_of
from lit_experiments.serving.probes import probes_of
from lit_experiments.serving.rows import Row, text_column
from lit_experiments.serving.runs import Run
from lit_experiments.serving.scale import Scale, scale_of
from lit_experiments.serving.states import Floats
from lit_experiments.serving.strips import Strip, strips_of
from lit_experiments.serving.view import View

NONE = "none"
_COLOURS: tuple[Option, ...] = (("", NONE, "nothing"),)


def strip_part(run: Run, row: Row, view: View) -> str:
    """The section: what to colour by what, the coloured text, what the colours mean, and the numbers one by one."""
    head = '<section aria-labelledby="text"><h2 id="text">Text</h2>'
    strips = strips_of(row)
    if not strips:
        return f"{head}{_plain_text(row)}</section>"
    strip = next((strip for strip in strips if strip.key == view.strip), strips[0])
    probes, problems = probes_of(run.folder)
    numbers = numbers_of(row, strip, probes)
    chosen = _chosen(numbers, view.number)
    layer = _layer(chosen, view.layer)
    values = chosen.compute(layer)[:MOST_PIECES] if chosen else np.full(min(len(strip.pieces), MOST_PIECES), np.nan)
    scale = scale_of(values, chosen.bounds) if chosen else None
    notes = [*_notes(strip, numbers, view.number, chosen, scale), *problems]
    body = _choices(strips, strip, numbers, chosen, layer) + _strip(strip, values, scale) + _legend(chosen, scale)
    return f"{head}{body}{paragraphs(chr(10).join(notes))}{_table(strip, values, chosen)}</section>"


def _plain_text(row: Row) -> str:
    name = text_column(row.part)
    text = row.columns.get(name) if name else None
    shown = f'<p class="strip">{escape(text)}</p>' if isinstance(text, str) else ""
    return shown + paragraphs(
        "This row holds no tokens (a column input_ids or tokens, or texts with one for every entry of a field), so "
        "there is nothing to colour."
    )


def _chosen(numbers: list[Number], key: str) -> Number | None:
    """The number that is asked for; the first where nothing is."""
    if key == NONE or not numbers:
        return None
    return next((number for number in numbers if number.key == key), None if key else numbers[0])


def _layer(number: Number | None, layer: str) -> str:
    """The layer that is asked for, or else the usual one, or else the last."""
    if number is None or not number.layers:
        return ""
    return next(name for name in (layer, number.usual, number.layers[-1]) if name in number.layers)


def _choices(strips: list[Strip], strip: Strip, numbers: list[Number], chosen: Number | None, layer: str) -> str:
    selects = []
    if len(strips) > 1:
        selects.append(select("strip", "Show", [("", s.key, s.label) for s in strips], strip.key, "view"))
    options = [*_COLOURS, *((number.kind, number.key, number.label) for number in numbers)]
    selects.append(select("number", "Colour by", options, chosen.key if chosen else NONE, "view"))
    if chosen is not None and chosen.layers:
        selects.append(select("layer", "Layer", plain(chosen.layers), layer, "view"))
    return f'<div class="bar">{"".join(selects)}<button form="view" class="show">Show</button></div>'


def _notes(strip: Strip, numbers: list[Number], key: str, chosen: Number | None, scale: Scale | None) -> list[str]:
    notes = [chosen.note] if chosen and chosen.note else []
    if not numbers:
        notes.append("This store holds no number for these tokens: no field, column or states with one for each.")
    elif key not in ("", NONE) and chosen is None:
        notes.append(f"This row, or what is shown of it, has no number {key}.")
    elif chosen is not None and scale is None:
        notes.append("None of these tokens has this number.")
    if not strip.exact:
        notes.append("Tokens are shown by their ids: the tokenizer that made them is not on this machine.")
    if len(strip.pieces) > MOST_PIECES:
        notes.append(f"The first {MOST_PIECES:,} of {len(strip.pieces):,} tokens.")
    return notes


def _strip(strip: Strip, values: Floats, scale: Scale | None) -> str:
    strengths = values if scale is None else scale.strengths
    spans = token_spans(strip.pieces[: len(values)], values.tolist(), strengths.tolist())
    return f'<p class="strip" id="strip">{spans}</p>'


def _legend(number: Number | None, scale: Scale | None) -> str:
    if number is None or scale is None:
        return ""
    ends = f'<span class="ends">{scale.low}<i class="{scale.kind}" aria-hidden="true"></i>{scale.high}</span>'
    name = f"{number.label}; colours from {scale.low} to {scale.high}, what lies beyond has the strongest"
    return f'<p class="legend" role="img" aria-label="{escape(name)}"><b>{escape(number.label)}</b>{ends}</p>'


def _table(strip: Strip, values: Floats, number: Number | None) -> str:
    """Every token with its number, for those who cannot point or see colours."""
    if number is None:
        return ""
    numbered = enumerate(zip(strip.pieces, values.tolist(), strict=False))
    rows = "".join(
        f'<tr><td>{place}</td><td class="word token">{escape(piece)}</td><td>{_value(value)}</td></tr>'
        for place, (piece, value) in numbered
    )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("#", "token", number.label))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    grid = f'<div class="grid" tabindex="0">{table}</div>'
    return f"<details><summary>Every token with its number</summary>{grid}</details>"


def _value(value: float) -> str:
    return significant(value) if math.isfinite(value) else "-"
