"""Blocks in HTML. Charts are declarations that the page's script draws; tables sort and filter."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from functools import singledispatch

from lit_experiments.reports.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Curves,
    Figure,
    Heatmap,
    Matrix,
    Note,
    Scatter,
    Section,
    Statement,
    Table,
    TokenStrip,
)
from lit_experiments.reports.cells import NO_VALUE, cell_text, interval, number
from lit_experiments.reports.frames import estimate_of
from lit_experiments.reports.vegalite import specification
from lit_experiments.statistics import Estimate

_FILTERED = 8  # rows from which a table has a filter
_WIDE = 14  # columns from which a table is folded
_WORDS = 28  # characters from which a cell may break its line
_NEGATIVE, _POSITIVE = "0, 114, 178", "213, 94, 0"


def escape(text: str) -> str:
    """Text as HTML, also inside of attributes."""
    return html.escape(text, quote=True)


def html_section(section: Section, anchor: str) -> str:
    """A heading with its blocks; closed until asked for where the section is folded."""
    heading = f'<h2 id="{anchor}">{escape(section.title)}</h2>'
    body = "\n".join(html_block(block) for block in section.blocks)
    if section.folded:
        return f"<details><summary>{heading}</summary>\n{body}\n</details>"
    return f"{heading}\n{body}"


def token_spans(tokens: Sequence[str], values: Sequence[float | None], strengths: Sequence[float | None]) -> str:
    """Tokens with their numbers behind them, shown when pointed at. strengths: of the colour, from -1 to 1; tokens
    without a finite value stay bare."""
    numbered = zip(tokens, values, strengths, strict=True)
    return "".join(_token_span(token, value, strength) for token, value, strength in numbered)


def _token_span(token: str, value: float | None, strength: float | None) -> str:
    if value is None or strength is None or not math.isfinite(value):
        return f"<span>{escape(token)}</span>"
    style = f"background: rgba({_NEGATIVE if strength < 0 else _POSITIVE}, {abs(strength) * 0.6:.2f})"
    return f'<span style="{style}" title="{number(value, 3)}">{escape(token)}</span>'


@singledispatch
def html_block(block: Block) -> str:
    """One block."""
    raise TypeError(f"no such block: {block!r}")


@html_block.register
def _(block: Statement) -> str:
    kind = ' class="verdict"' if block.verdict else ""
    return f"<p{kind}>{escape(block.text)}</p>"


@html_block.register
def _(block: Note) -> str:
    return f'<p class="note">{escape(block.text)}</p>'


@html_block.register
def _(block: Table) -> str:
    identity = f"table-{block.name}"
    heads = "".join(_head(column) for column in block.columns)
    rows = "".join(
        "<tr>" + "".join(_cell(cell, column) for cell, column in zip(row, block.columns, strict=True)) + "</tr>\n"
        for row in block.rows
    )
    search = ""
    if len(block.rows) > _FILTERED:
        label = f"Filter the rows of {block.title or block.name}"
        search = f'<input class="filter" type="search" placeholder="filter rows" data-table="{identity}" '
        search += f'aria-label="{escape(label)}"><br>'
    table = f'<table class="sortable" id="{identity}"><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>'
    body = f'{search}<div class="grid" tabindex="0">{table}</div>{_downloads(block.name, picture=False)}'
    title = escape(block.title or block.name)
    if block.folded or len(block.columns) >= _WIDE:
        return f"<details><summary>{title} ({len(block.rows)} rows)</summary>{body}</details>"
    return (f"<h3>{title}</h3>" if block.title else "") + body


@html_block.register
def _(block: Matrix) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *block.column_names))
    lines = []
    for name, cells in zip(block.row_names, block.cells, strict=True):
        line = f"<td>{escape(name)}</td>"
        for cell in cells:
            if cell is None:
                line += f"<td>{NO_VALUE}</td>"
                continue
            value = "" if cell.value is None else f"<span>{escape(_value_text(cell.value, block.digits))}</span>"
            because = f"<span>{escape(cell.reason)}</span>" if cell.reason else ""
            line += f'<td class="{cell.tone}">{escape(cell.word)}{value}{because}</td>'
        lines.append(f"<tr>{line}</tr>")
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    title = f"<h3>{escape(block.title)}</h3>" if block.title else ""
    return f'{title}<div class="grid matrix" tabindex="0">{table}</div>{_downloads(block.name, picture=False)}'


@html_block.register
def _(block: TokenStrip) -> str:
    known = [value for value in block.values if value is not None and math.isfinite(value)]
    largest = max((abs(value) for value in known), default=0.0) or 1.0
    spans = token_spans(block.tokens, block.values, [None if v is None else v / largest for v in block.values])
    legend = f"{block.value}; strongest colour: {number(largest, 3)}. Point at a token to see its number."
    title = f"<h3>{escape(block.title)}</h3>" if block.title else ""
    strip = f'<p class="strip">{spans}</p><p class="note">{escape(legend)}</p>'
    return title + strip + _downloads(block.name, picture=False)


@html_block.register(Curves)
@html_block.register(Heatmap)
@html_block.register(Scatter)
@html_block.register(Bars)
def _(block: Figure) -> str:
    links = _downloads(block.name, picture=True)
    return f"<figure>{chart(block)}<figcaption>{escape(block.caption)}{links}</figcaption></figure>"


def chart(figure: Figure) -> str:
    """The place that page.js draws a figure in, with its declaration."""
    spec = json.dumps(specification(figure), separators=(",", ":")).replace("</", "<\\/")
    place = f'<div class="chart" role="img" aria-label="{escape(figure.caption)}"></div>'
    return f'{place}<script type="application/json">{spec}</script>'


def _head(column: Column) -> str:
    title = f' title="{escape(column.meaning)}"' if column.meaning else ""
    kind = ' class="word"' if column.kind in ("text", "token") else ""
    return f'<th scope="col"{kind}{title}><button type="button">{escape(column.name)}</button></th>'


def _cell(cell: Cell, column: Column) -> str:
    text = escape(cell_text(cell, column))
    if column.kind in ("text", "token") or isinstance(cell, str):
        return f'<td class="{"words" if len(text) > _WORDS else "word"}">{text}</td>'
    value = "" if cell is None else _plain(estimate_of(cell)[0])
    title = f' title="n = {cell.n}"' if isinstance(cell, Estimate) else ""
    return f'<td data-value="{value}"{title}>{text}</td>'


def _plain(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


def _value_text(value: Estimate | float, digits: int) -> str:
    return interval(value, digits) if isinstance(value, Estimate) else number(value, digits)


def _downloads(name: str, picture: bool) -> str:
    places = [("CSV", f"data/{name}.csv"), ("Parquet", f"data/{name}.parquet")]
    if picture:
        places = [("PNG", f"figures/{name}.png"), ("SVG", f"figures/{name}.svg"), *places]
    links = " · ".join(f'<a href="{place}">{label}</a>' for label, place in places)
    return f'<div class="downloads">{links}</div>'
