"""Which case a comparison of two conditions is, and the words for it. Knows estimates, not where they come from."""

from __future__ import annotations

from lit_experiments.reports.findings import no_correlation, power_of
from lit_experiments.statistics import Estimate, Paired, equivalent

SMOOTHER_CORRELATED = "smoother and correlated"
SMOOTHER_AGAINST = "smoother and correlated the other way"
SMOOTHER_UNRELATED = "smoother and not correlated"
SMOOTHER = "smoother, and not seen to be correlated"
SAME = "no difference"
UNSEEN = "no difference seen"
ROUGHER = "rougher"
UNKNOWN = "too little data"


def verdict(difference: Estimate, relative: Estimate, correlated: Estimate, margin: float) -> str:
    """Which case it is. "Not" takes an equivalence test; without one nothing more is said than that it is not seen.

    Args:
        difference: human minus model, of smoothness (low is smooth); relative: as a part of the human value.
        correlated: of the paired differences of cross-entropy and smoothness.
        margin: part of the human value below which a difference counts as none.
    """
    if not difference.has_interval:
        return UNKNOWN
    if difference.side_of(0) > 0:
        return _smoother(correlated)
    if difference.side_of(0) < 0:
        return ROUGHER
    return SAME if equivalent(relative, 0.0, margin) else UNSEEN


def _smoother(correlated: Estimate) -> str:
    if correlated.side_of(0):
        return SMOOTHER_CORRELATED if correlated.side_of(0) > 0 else SMOOTHER_AGAINST
    return SMOOTHER_UNRELATED if no_correlation(correlated) else SMOOTHER


def moves(moved: Paired, states: str, margin: float) -> str:
    """'moves `states` more smoothly than'; with what would have been seen, where nothing is. moved: of smoothness."""
    side = moved.difference.side_of(0)
    if side:
        return f"moves {states} {'more smoothly' if side > 0 else 'more roughly'} than"
    if equivalent(moved.relative, 0.0, margin):
        return f"moves {states} as smoothly (within {margin:.1%}) as"
    return f"is not seen to move {states} more smoothly or more roughly{power_in_percent(moved)} than"


def power_in_percent(moved: Paired, tests: int = 1) -> str:
    """What would have been seen, in percent of the first condition's value; tests: that are corrected for."""
    return power_of(moved.relative.mapped(_times_100), unit="%", tests=tests)


def _times_100(part: float) -> float:
    return 100 * part
