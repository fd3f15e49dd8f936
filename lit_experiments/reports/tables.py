"""Tables for terminals and pages, and the summary that `inspect` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lit_experiments.statistics import Estimate

Rows = Sequence[Sequence[str]]
_MOST_DIGITS = 12


def text_table(headers: Sequence[str], rows: Rows) -> str:
    """Columns aligned for a terminal: the first to the left, the others to the right."""
    widths = [max(len(str(line[i])) for line in [headers, *rows]) for i in range(len(headers))]
    lines = [_line(headers, widths), _line(["-" * w for w in widths], widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def markdown_table(headers: Sequence[str], rows: Rows) -> str:
    """The same table in Markdown."""
    rule = ["---", *["---:"] * (len(headers) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(headers), rule, *map(list, rows)])


def number(value: float, digits: int = 3) -> str:
    """A number for a table, in powers of ten when it is very large; a dash for 'no value'."""
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 10**4 else f"{value:.{max(2, digits - 1)}e}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """'0.41 [0.35, 0.47]', or '0.71 (no interval: 3 groups)'; a dash for 'no value'.

    Bounds that differ get as many digits as it takes to see that they do.
    """
    if math.isnan(estimate.value):
        return "-"
    if not estimate.has_interval:
        return f"{number(estimate.value, digits)} (no interval: {estimate.no_interval})"
    while digits < _MOST_DIGITS and number(estimate.low, digits) == number(estimate.high, digits):
        digits += 1
    inside = f"{number(estimate.low, digits)}, {number(estimate.high, digits)}"
    return f"{number(estimate.value, digits)} [{inside}]"


def model_name(model: str) -> str:
    """A model for people: of a path its last part; an adapter stays behind its plus sign."""
    return "+".join(Path(part).name if Path(part).is_absolute() else part for part in model.split("+"))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = [str(c) for c in cells]
    return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]).rstrip()
