"""Blocks in Markdown, for RESULTS.md. Figures are pictures next to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from lit_experiments.reports.blocks import (
    Bars,
    Block,
    Curves,
    Figure,
    Heatmap,
    Matrix,
    Note,
    Page,
    Scatter,
    Statement,
    Table,
    TokenStrip,
)
from lit_experiments.reports.cells import NO_VALUE, cell_text, number
from lit_experiments.reports.matrix import verdict_text


def markdown_page(page: Page) -> str:
    """The whole page."""
    parts = [f"# {page.title}", *page.cautions, f"**Question.** {page.question}"]
    parts += [f"**{line}**" for line in page.outcome]
    parts += [f"**What was done.** {page.done}", f"**How sure.** {page.certainty}"]
    for section in page.sections:
        parts += [f"## {section.title}", *map(markdown_block, section.blocks)]
    if page.methods:
        parts += ["## Methods", *page.methods]
    return "\n\n".join(parts) + "\n"


@singledispatch
def markdown_block(block: Block) -> str:
    """One block."""
    raise TypeError(f"no such block: {block!r}")


@markdown_block.register
def _(block: Statement) -> str:
    return f"**{block.text}**" if block.verdict else block.text


@markdown_block.register
def _(block: Note) -> str:
    return f"*{block.text}*"


@markdown_block.register
def _(block: Table) -> str:
    heads = [column.name for column in block.columns]
    rows = [[cell_text(cell, column) for cell, column in zip(row, block.columns, strict=True)] for row in block.rows]
    return _titled(block.title, _grid(heads, rows))


@markdown_block.register
def _(block: Matrix) -> str:
    rows = [
        [name, *(NO_VALUE if cell is None else verdict_text(cell, block.digits) for cell in cells)]
        for name, cells in zip(block.row_names, block.cells, strict=True)
    ]
    return _titled(block.title, _grid(["", *block.column_names], rows))


@markdown_block.register
def _(block: TokenStrip) -> str:
    words = [
        token if value is None else f"{token} ({number(value, 2)})"
        for token, value in zip(block.tokens, block.values, strict=True)
    ]
    return _titled(f"{block.title} ({block.value})", " ".join(repr(word) for word in words))


@markdown_block.register(Curves)
@markdown_block.register(Heatmap)
@markdown_block.register(Scatter)
@markdown_block.register(Bars)
def _(block: Figure) -> str:
    return f"![{block.caption}](figures/{block.name}.png)\n\n*{block.caption}*"


def _titled(title: str, text: str) -> str:
    return f"{title}:\n\n{text}" if title else text


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    lines = [heads, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
