"""How many standard errors intervals must reach to hold all of several truths at once, and so that of the largest.

The largest of many estimates is too large, and its own interval too narrow for what was picked by its value. Intervals
that hold together with the nominal probability are right for whichever is picked. How far they reach is the quantile
of the largest studentised deviation (max-T), from random combinations of what each group adds to each estimate: the
multiplier bootstrap (Chernozhukov, Chetverikov and Kato 2013, Annals of Statistics 41:2786), which keeps how the
estimates go together. Shapes: G groups or replicates, M estimates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

_DRAWS = 10_000
_SEED = 0
"""The draws are part of the method, like a table of t: equal data give equal intervals."""


def joint_critical(deviations: ArrayLike, degrees: float, level: float) -> float:
    """The largest of M estimates deviates by more of its standard errors with probability 1 - level.

    deviations: [G, M] what each group adds, or each resample deviates by; columns that are not finite or do not vary
    are left out. degrees: of freedom of the standard errors. At least the quantile of t, which is that of one estimate.
    """
    columns = np.asarray(deviations, np.float64)
    alone = float(stdtrit(degrees, (1 + level) / 2))
    known = columns[:, np.isfinite(columns).all(0)]
    sizes = np.sqrt((known**2).sum(0))
    unit = known[:, sizes > 0] / sizes[sizes > 0]
    if unit.shape[1] < 2:
        return alone
    rng = np.random.default_rng(_SEED)
    shared = np.sqrt(rng.chisquare(degrees, _DRAWS) / degrees)
    largest = np.abs(rng.normal(size=(_DRAWS, len(unit))) @ unit).max(1) / shared
    return max(alone, float(np.quantile(largest, level)))
