"""How pages put an interval into words: on which side of a reference it lies and, where on neither, what would have
been seen. One place, so that no two pages of a run say different things of one number.

"Not seen" comes with the smallest effect that would have been seen; "none" takes an equivalence test. Does not know:
what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lit_experiments.reports.blocks import Verdict
from lit_experiments.reports.cells import significant
from lit_experiments.statistics import Estimate, detectable, equivalent

Tone = Literal["for", "against"]

POWER = "seen at 80 % power"
"""What a column is called that holds `detectable`."""
NEGLIGIBLE_CORRELATION = 0.2
"""A correlation that is sure to be smaller counts as none: it goes with less than 4 % of the variance."""


def would_have_been_seen(smallest: float, what: str = "a difference", unit: str = "") -> str:
    """'a difference of 0.3 nats would have been seen with 80 % power'; "" for NaN. smallest: as from `detectable`."""
    if not math.isfinite(smallest):
        return ""
    size = significant(smallest) + (f" {unit}" if unit else "")
    return f"{what} of {size} would have been seen with 80 % power"


def power_of(estimate: Estimate, what: str = "a difference", unit: str = "", tests: int = 1) -> str:
    """' (a difference of ... would have been seen with 80 % power)'; "" where there is no interval.

    tests: how many the estimate is one of, with Bonferroni's correction.
    """
    return _in_brackets(would_have_been_seen(detectable(estimate, tests=tests), what, unit))


def power_of_all(estimates: Sequence[Estimate], what: str = "a difference", unit: str = "") -> str:
    """The same of the least certain of several, so that it would have been seen in each; NaN leaves one out."""
    return _in_brackets(power_in_all(estimates, what, unit))


def power_in_all(estimates: Sequence[Estimate], what: str = "a difference", unit: str = "") -> str:
    """The same without brackets."""
    sizes = [size for size in map(detectable, estimates) if math.isfinite(size)]
    return would_have_been_seen(max(sizes, default=math.nan), what, unit)


def power_of_correlations(estimates: Sequence[Estimate]) -> str:
    """The same of correlations."""
    sizes = [size for size in map(detectable_correlation, estimates) if math.isfinite(size)]
    return _in_brackets(would_have_been_seen(max(sizes, default=math.nan), "a correlation"))


def power_of_correlation(estimate: Estimate) -> str:
    """The same of a correlation, by its interval on Fisher's scale."""
    return _in_brackets(would_have_been_seen(detectable_correlation(estimate), "a correlation"))


def detectable_correlation(estimate: Estimate) -> float:
    """The smallest correlation that would have been seen with 80 % power; NaN without an interval inside (-1, 1)."""
    if not (estimate.has_interval and estimate.low > -1 and estimate.high < 1):
        return math.nan
    return math.tanh(detectable(estimate.mapped(_fisher)))


def no_correlation(estimate: Estimate) -> bool:
    """Whether an equivalence test shows that a correlation is smaller than `NEGLIGIBLE_CORRELATION`."""
    return equivalent(estimate, 0.0, NEGLIGIBLE_CORRELATION)


def held_against(
    estimate: Estimate, reference: float, above: tuple[str, Tone], below: tuple[str, Tone], neither: str = "not shown"
) -> Verdict:
    """The verdict on which side of `reference` an interval lies: `above`, `below`, or `neither` where it holds it."""
    if math.isnan(estimate.value):
        return Verdict("no value", "void")
    side = estimate.side_of(reference)
    if not side:
        return Verdict(neither if estimate.has_interval else "without interval", "open", estimate)
    word, tone = above if side > 0 else below
    return Verdict(word, tone, estimate)


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _fisher(r: float) -> float:
    return math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))
