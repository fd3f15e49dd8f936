"""Whether a value is as good as a reference: what a wide interval around the reference does not show."""

from __future__ import annotations

from lit_experiments.statistics.estimate import Estimate


def equivalent(estimate: Estimate, reference: float, margin: float) -> bool:
    """Two one-sided tests (Schuirmann 1987) by the interval: all of it lies less than `margin` from `reference`.

    With an interval of 95 % either test has a level of 2.5 %. False where there is no interval: too little data never
    shows that nothing is there. Raises ValueError for a margin that is not positive.
    """
    if not margin > 0:
        raise ValueError(f"an equivalence margin is positive, found {margin}")
    return reference - margin < estimate.low and estimate.high < reference + margin
