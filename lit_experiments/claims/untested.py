"""Claims that the data cannot test: underpowered, with the reason in place of numbers. Knows no data."""

from __future__ import annotations

import math

from lit_experiments.claims.claim import Claim
from lit_experiments.claims.evidence import Evidence, Grouping
from lit_experiments.claims.rule import Judged, judged
from lit_experiments.statistics import LEVEL, Estimate


def untested(claim: Claim, reason: str, grouping: Grouping) -> Judged:
    """The claim with the verdict that its data allow.

    Args:
        reason: why it could not be tested, as a clause.
        grouping: of the rows, none of which need be held out.
    """
    nan = math.nan
    evidence = Evidence(
        score_name="r2",
        chance=nan,
        score=Estimate.undefined(0, LEVEL),
        p=nan,
        p_corrected=nan,
        shuffled_p=nan,
        alpha=1 - LEVEL,
        controls=[],
        twins=None,
        apart=None,
        by_row=None,
        grouping=grouping,
        detectable=nan,
        untested=reason.rstrip("."),
    )
    return judged(claim, evidence)
