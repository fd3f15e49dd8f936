"""A verdict in words, for the renderers."""

from __future__ import annotations

from lit_experiments.reports.blocks import Verdict
from lit_experiments.reports.cells import interval, number
from lit_experiments.statistics import Estimate


def verdict_text(verdict: Verdict, digits: int) -> str:
    """'internal beyond surface: 0.12 [0.04, 0.21]'; the word alone where there is no number; a reason in brackets."""
    because = f" ({verdict.reason})" if verdict.reason else ""
    if verdict.value is None:
        return verdict.word + because
    shown = interval(verdict.value, digits) if isinstance(verdict.value, Estimate) else number(verdict.value, digits)
    return f"{verdict.word}: {shown}{because}"
