"""Values as text, the same on every page and on the terminal."""

from __future__ import annotations

import math
from pathlib import Path

from lit_experiments.reports.blocks import Cell, Column, Range
from lit_experiments.statistics import Estimate

NO_VALUE = "-"
_MOST_DIGITS = 12
_LARGE = 10**6
_WIDE = 10**4
_SMALL = 1e-4
_SMALLEST_P = 1e-4


def cell_text(value: Cell, column: Column) -> str:
    """A cell as its column says; a dash for "no value"."""
    if value is None:
        return NO_VALUE
    if isinstance(value, Estimate):
        return interval(value, digits_for(value.value) if column.digits is None else column.digits)
    if isinstance(value, Range):
        return spread(value, digits_for(value.middle) if column.digits is None else column.digits)
    if isinstance(value, str):
        return repr(value) if column.kind == "token" else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column.kind == "count":
        return f"{value:,}"
    if column.kind == "p":
        return p_value(float(value))
    if column.kind == "share":
        return NO_VALUE if math.isnan(value) else f"{value:.{_percent_digits(column)}%}"
    return significant(float(value)) if column.digits is None else number(float(value), column.digits)


def number(value: float, digits: int = 3) -> str:
    """A number for a table, in powers of ten when it is very large; a dash for "no value"."""
    if math.isnan(value):
        return NO_VALUE
    if abs(value) >= _LARGE:
        return f"{value:.{max(2, digits - 1)}e}"
    places = digits if abs(value) < _WIDE else max(0, digits - 3)
    return f"{round(value, places) + 0.0:,.{places}f}"  # + 0.0: what rounds to nothing has no sign


def significant(value: float) -> str:
    """A number with about three significant figures; 0 is told apart from what is merely small."""
    if value == 0:
        return "0"
    return f"{value:.2e}" if abs(value) < _SMALL else number(value, digits_for(value))


def interval(estimate: Estimate, digits: int = 3) -> str:
    """'0.41 [0.35, 0.47]', or '0.71 (no interval: 3 groups)'; a dash for "no value".

    Bounds that differ get as many digits as it takes to see that they do.
    """
    if math.isnan(estimate.value):
        return NO_VALUE
    if not estimate.has_interval:
        return f"{number(estimate.value, digits)} (no interval: {estimate.no_interval})"
    while digits < _MOST_DIGITS and number(estimate.low, digits) == number(estimate.high, digits):
        digits += 1
    value, low, high = (number(part, digits) for part in (estimate.value, estimate.low, estimate.high))
    if low == high:  # too small for decimals
        value, low, high = (f"{part:.{_MOST_DIGITS}g}" for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def spread(values: Range, digits: int = 3) -> str:
    """'0.02 (-0.05 to 0.08)', mean and range; a dash for "no value"."""
    if math.isnan(values.low):
        return NO_VALUE
    ends = f"{number(values.low, digits)} to {number(values.high, digits)}"
    return ends if math.isnan(values.middle) else f"{number(values.middle, digits)} ({ends})"


def p_value(p: float) -> str:
    """Four digits, or a power of ten below."""
    return NO_VALUE if math.isnan(p) else f"{p:.4f}" if p >= _SMALLEST_P else f"{p:.0e}"


def digits_for(value: float) -> int:
    """Digits behind the decimal point that leave about three significant figures."""
    if math.isnan(value) or value == 0:
        return 3
    return max(0, min(6, 2 - math.floor(math.log10(abs(value)))))


def model_name(model: str) -> str:
    """A model for people: of a path its last part; an adapter stays behind its plus sign."""
    return "+".join(Path(part).name if Path(part).is_absolute() else part for part in model.split("+"))


def _percent_digits(column: Column) -> int:
    return 0 if column.digits is None else max(0, column.digits - 2)
