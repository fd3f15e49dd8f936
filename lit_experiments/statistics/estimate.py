"""A number with its interval, and the level of all intervals.

Owns the one type in which the project reports results, and the rule when it may carry an interval; knows no way to
compute one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

LEVEL = 0.95
"""Nominal coverage of every interval that the project reports."""

LEAST_GROUPS = 5
"""From fewer independent groups no interval is claimed: their standard error is too uncertain to say much. How
often the intervals of each kind hold the truth, by number of groups: docs/selftest.md (`lit-experiments selftest`)."""

_NO_WIDTH = 1e-12
"""Bounds that differ by less than this part of their size, or of 1, differ by rounding."""


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval, if there is one.

    value, low, high: in the units of the statistic; NaN where there was nothing to compute from, never 0. low and high
    are NaN where no interval can be claimed: fewer than LEAST_GROUPS groups, groups that all agree on a number without
    a range (an interval without width would claim certainty), or a statistic that is undefined without one of them.
    n: independent units behind it (the groups that are left out or resampled), not rows.
    level: the interval's nominal coverage, for example 0.95.
    no_interval: why there is no interval, in words ("3 groups"); None where there is one. Set by the class itself, and
    not written to JSON, where null bounds next to n say as much.
    method: how the interval was made ("jackknife t, logit"); "" where there is none.
    """

    value: float
    low: float
    high: float
    n: int
    level: float
    no_interval: str | None = field(default=None, metadata={"json": False})
    method: str = ""

    def __post_init__(self) -> None:
        reason = why_no_interval(self.low, self.high, self.n, self.no_interval)
        if reason is not None:
            object.__setattr__(self, "low", math.nan)
            object.__setattr__(self, "high", math.nan)
            object.__setattr__(self, "method", "")
        object.__setattr__(self, "no_interval", reason)

    @classmethod
    def undefined(cls, n: int, level: float) -> Estimate:
        """The estimate of a statistic that these n units do not define."""
        return cls(math.nan, math.nan, math.nan, n, level)

    @property
    def has_interval(self) -> bool:
        """Whether `low` and `high` are numbers; without, nothing may be said of the value's distance to another."""
        return self.no_interval is None

    @property
    def too_few(self) -> bool:
        """Whether there is no interval because of too few groups."""
        return self.n < LEAST_GROUPS

    @property
    def unanimous(self) -> bool:
        """Whether there is no interval because all groups agree: of a count, a finding."""
        return self.no_interval == _agreement(self.n)

    def side_of(self, reference: float) -> int:
        """1 or -1 where the interval lies above or below `reference`; 0 where it holds it, or where there is none."""
        return 1 if self.low > reference else -1 if self.high < reference else 0

    def mapped(self, function: Callable[[float], float]) -> Estimate:
        """The estimate of a rising function of the value."""
        value, low, high = (function(number) for number in (self.value, self.low, self.high))
        return Estimate(value, low, high, self.n, self.level, self.no_interval, self.method)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, where NaN becomes None because JSON has no NaN."""
        numbers = {key: value for key, value in asdict(self).items() if key != "no_interval"}
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in numbers.items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Estimate:
        """The inverse of `to_dict`."""
        number = {key: math.nan if data[key] is None else float(data[key]) for key in ("value", "low", "high", "level")}
        return cls(
            number["value"],
            number["low"],
            number["high"],
            int(data["n"]),
            number["level"],
            None,
            data.get("method", ""),
        )

    def __str__(self) -> str:
        if self.no_interval is not None:
            return f"{self.value:.3f} (no interval: {self.no_interval})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n})"


def why_no_interval(low: float, high: float, n: int, known: str | None = None) -> str | None:
    """The reason why n groups with these bounds give no interval, in words; None if they give one.

    known: the reason where bounds are NaN, if it is known.
    """
    if n < LEAST_GROUPS:
        return f"{n} group" if n == 1 else f"{n} groups"
    if math.isnan(low) or math.isnan(high):
        return known or f"not determined by {n} groups"
    return _agreement(n) if no_width(low, high) else None


def no_width(low: float, high: float) -> bool:
    """Whether two bounds are the same number but for rounding: of themselves, or of a difference of numbers like 1."""
    return high - low <= _NO_WIDTH * max(1.0, abs(low), abs(high))


def _agreement(n: int) -> str:
    return f"{n} groups agree"
