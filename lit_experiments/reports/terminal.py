"""Blocks on a terminal, by rich. Figures are named, not drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from lit_experiments.reports.blocks import FIGURES, Block, Matrix, Note, Page, Statement, Table, TokenStrip
from lit_experiments.reports.cells import NO_VALUE, cell_text
from lit_experiments.reports.matrix import verdict_text

WIDTH = 110
_WIDEST = 400  # of a table, whose numbers are never broken
_MOST_WORDS = 60  # characters of a column of words before it breaks its lines
_LEFT = {"text", "token"}


def terminal_text(page: Page, width: int = WIDTH) -> str:
    """What a terminal shows: outcome and certainty, then tables and what explains them; plain text, no colours.

    Tables of detail (`folded`) are left to the page, and so are sections that are `quiet`.
    """
    console = Console(width=_WIDEST, file=io.StringIO(), color_system=None, highlight=False, markup=False, emoji=False)
    for line in (*page.cautions, page.done, *page.outcome, page.certainty):
        console.print(Text(line), width=width)
    for section in page.sections:
        shown = [item for block in section.blocks for item in _shown(block)]
        if section.quiet or section.folded or not shown:
            continue
        console.print(Text(f"\n{section.title}", style="bold"))
        for item in shown:
            console.print(item, width=width if isinstance(item, Text) else None)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _shown(block: Block) -> Iterator[RenderableType]:
    if isinstance(block, Statement | Note):
        yield Text(block.text)
    elif isinstance(block, Table) and not block.folded:
        yield _table(block)
        if len(block.rows) > block.most:
            yield Text(f"... and {len(block.rows) - block.most} more rows in the report")
    elif isinstance(block, Matrix):
        yield _matrix(block)
    elif not isinstance(block, (Table, TokenStrip, *FIGURES)):
        raise TypeError(f"no such block: {block!r}")


def _table(block: Table) -> Grid:
    grid = _grid(block.title)
    for column in block.columns:
        left = column.kind in _LEFT
        grid.add_column(column.name, justify="left" if left else "right", no_wrap=not left, max_width=_MOST_WORDS)
    for row in block.rows[: block.most]:
        grid.add_row(*(cell_text(cell, column) for cell, column in zip(row, block.columns, strict=True)))
    return grid


def _matrix(block: Matrix) -> Grid:
    grid = _grid(block.title)
    for name in ("", *block.column_names):
        grid.add_column(name, max_width=_MOST_WORDS)
    for name, cells in zip(block.row_names, block.cells, strict=True):
        grid.add_row(name, *(NO_VALUE if cell is None else verdict_text(cell, block.digits) for cell in cells))
    return grid


def _grid(title: str) -> Grid:
    return Grid(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
