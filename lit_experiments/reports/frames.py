"""Every table and figure as one flat table of what is shown, for CSV, Parquet and the drawing itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from lit_experiments.reports.blocks import Bars, Block, Curves, Heatmap, Matrix, Range, Scatter, Table, TokenStrip
from lit_experiments.statistics import Estimate

Record = dict[str, Any]
_ESTIMATE = ("low", "high", "n")


@singledispatch
def records(block: Block) -> list[Record]:
    """One record for every row, point or cell; all records of a block have the same keys. NaN is None.

    An Estimate becomes four columns: NAME, NAME low, NAME high, NAME n; so does a Range, without n.
    """
    raise TypeError(f"{type(block).__name__} holds no data")


def has_data(block: Block) -> bool:
    """Whether there is anything to write for a block: a table or a figure."""
    return isinstance(block, Table | Matrix | Curves | Heatmap | Scatter | Bars | TokenStrip)


@records.register
def _(block: Table) -> list[Record]:
    wide = [_has_bounds(block, index) for index in range(len(block.columns))]
    out = []
    for row in block.rows:
        record: Record = {}
        for column, cell, estimate in zip(block.columns, row, wide, strict=True):
            name = column.name if column.name not in record else f"{column.name} ({len(record)})"
            record |= _spread(name, cell) if estimate else {name: _plain(cell)}
        out.append(record)
    return out


@records.register
def _(block: Matrix) -> list[Record]:
    return [
        {"row": row, "column": column, "verdict": cell.word, **_spread(block.value, cell.value), "reason": cell.reason}
        for row, cells in zip(block.row_names, block.cells, strict=True)
        for column, cell in zip(block.column_names, cells, strict=True)
        if cell is not None
    ]


@records.register
def _(block: Curves) -> list[Record]:
    out = []
    for panel in block.panels:
        for series in panel.series:
            for x, y in zip(series.x, series.y, strict=True):
                out.append({"panel": panel.title, "series": series.name, block.x: _plain(x), **_spread("value", y)})
        for level in panel.levels:
            out.append({"panel": panel.title, "series": level.name, block.x: None, **_spread("value", level.value)})
    return out


@records.register
def _(block: Heatmap) -> list[Record]:
    return [
        {"panel": title, block.y: row, block.x: column, block.value: _plain(value)}
        for title, values in block.panels.items()
        for row, line in zip(block.rows, values, strict=True)
        for column, value in zip(block.columns, line, strict=True)
    ]


@records.register
def _(block: Scatter) -> list[Record]:
    out = []
    for panel in block.panels:
        extra = {name: getattr(panel, name) for name in ("group", "kind", "label", "size")}
        for index, (x, y) in enumerate(zip(panel.x, panel.y, strict=True)):
            of_point = {name: values[index] for name, values in extra.items() if len(values)}
            out.append({"panel": panel.title, "x": _plain(x), "y": _plain(y), **_filled(block, of_point)})
    return out


@records.register
def _(block: Bars) -> list[Record]:
    return [{"panel": b.panel, "group": b.group, "label": b.label, **_spread("value", b.value)} for b in block.bars]


@records.register
def _(block: TokenStrip) -> list[Record]:
    pairs = zip(block.tokens, block.values, strict=True)
    return [{"token": token, block.value: None if value is None else _plain(value)} for token, value in pairs]


def estimate_of(value: Estimate | Range | float) -> tuple[float, float, float]:
    """Value and bounds; a number has none."""
    if isinstance(value, Estimate):
        return value.value, value.low, value.high
    if isinstance(value, Range):
        return value.middle, value.low, value.high
    return float(value), math.nan, math.nan


def _filled(block: Scatter, of_point: Record) -> Record:
    """The columns that any panel of the block has, so that all records are alike."""
    used = [name for name in ("group", "kind", "label", "size") if any(len(getattr(p, name)) for p in block.panels)]
    return {name: _plain(of_point.get(name)) for name in used}


def _has_bounds(block: Table, index: int) -> bool:
    return any(isinstance(row[index], Estimate | Range) for row in block.rows)


def _spread(name: str, value: Any) -> Record:
    numbers: tuple[Any, ...] = (value, None, None, None)
    if isinstance(value, Estimate | Range):
        numbers = (*estimate_of(value), value.n if isinstance(value, Estimate) else None)
    keys = (name, *(f"{name} {part}" if name != "value" else part for part in _ESTIMATE))
    return {key: _plain(number) for key, number in zip(keys, numbers, strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def column_names(block: Block) -> list[str]:
    """The keys of a block's records, also of a table without rows."""
    lines = records(block)
    if lines:
        return list(lines[0])
    return [column.name for column in block.columns] if isinstance(block, Table) else []


def ordered(values: Iterator[str] | Sequence[str]) -> list[str]:
    """Distinct values in the order in which they first appear."""
    return list(dict.fromkeys(values))
