"""What a model would tell, were it fitted to more rows, from what it tells of fewer. Knows scores; fits nothing."""

from __future__ import annotations

from lit_experiments.statistics import Estimate


def left_to_learn(two: float, last: Estimate) -> float:
    """At most what two more doublings of the training rows would add to a score.

    Over the logarithm of the rows a curve of learning bends down once something is learned (power laws: Cortes et al.
    1994). So two doublings add no more than the two before them did, and no more than twice what the last one did. Of
    these bounds the lower one counts. The second rests on a difference of like scores, which may come out small by
    chance: the upper end of its interval is taken.

    Args:
        two: gained by the last two doublings.
        last: gained by the last one.
    """
    return max(0.0, min(two, 2 * last.high) if last.has_interval else two)
