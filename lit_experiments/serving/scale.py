"""From numbers to colours: how strong a piece of text is coloured, and what the legend says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lit_experiments.reports.cells import significant
from lit_experiments.serving.states import Floats

_MOST = 0.95  # quantile from which on colours are the strongest: single tokens (the first one) have huge norms


@dataclass(frozen=True)
class Scale:
    """strengths: [piece] from -1 to 1, NaN where there is no number; low, high: what the colours at both ends stand
    for; kind: whether they grow from low to high, from high to low, or from 0 in both directions."""

    strengths: Floats
    low: str
    high: str
    kind: Literal["up", "down", "both"]


def scale_of(values: Floats, bounds: tuple[float, float] | None) -> Scale | None:
    """The colours of one row's numbers; None where it has none.

    Numbers with bounds run between them. Of others, those far from 0 on one side run from the row's lowest to its
    highest, the rest from 0 in both directions; the 5 % that lie farthest out have the strongest colour.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = bounds or (np.quantile(known, 1 - _MOST, method="higher"), np.quantile(known, _MOST, method="lower"))
    if bounds is not None or 2 * low > high > low > 0:
        return Scale(np.clip((values - low) / (high - low), 0, 1), significant(low), significant(high), "up")
    farthest = float(np.quantile(np.abs(known), _MOST, method="lower")) or float(np.abs(known).max()) or 1.0
    low, high = -farthest * (known.min() < 0), farthest * (known.max() > 0)
    kind: Literal["up", "down", "both"] = "both" if low < 0 < high else "down" if low < 0 else "up"
    return Scale(np.clip(values / farthest, -1, 1), significant(low), significant(high), kind)
