"""A number with its interval. Owns the one type in which the project reports results; knows no way to compute them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval.

    value, low, high: in the units of the statistic; NaN where there was nothing to compute from, never 0.
    n: independent units behind it (the groups that a bootstrap resamples), not rows.
    level: the interval's nominal coverage, for example 0.95.
    """

    value: float
    low: float
    high: float
    n: int
    level: float

    @classmethod
    def undefined(cls, n: int, level: float) -> Estimate:
        """The estimate of a statistic that these n units do not define."""
        return cls(math.nan, math.nan, math.nan, n, level)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, where NaN becomes None because JSON has no NaN."""
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Estimate:
        """The inverse of `to_dict`."""
        number = {key: math.nan if data[key] is None else float(data[key]) for key in ("value", "low", "high", "level")}
        return cls(number["value"], number["low"], number["high"], int(data["n"]), number["level"])

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n})"
