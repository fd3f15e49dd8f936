"""Checks of numeric options: one message that names the option, what was given, and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lit_experiments.errors import UserError

_ROUNDING = 1e-9
LARGEST_SEED = 2**32 - 1  # numpy, scikit-learn and torch all take a seed up to here


def at_least(least: float, **options: float | None) -> None:
    """Refuses numbers below `least`, NaN and infinity; None stands for an option that is not used.

    Raises:
        UserError: the first option that is out of range.
    """
    for name, value in options.items():
        if value is not None and not (value >= least and math.isfinite(value)):
            _refuse(name, value, f"at least {least:g}")


def above(bound: float, **options: float | None) -> None:
    """Refuses numbers that are not greater than `bound`, NaN and infinity."""
    for name, value in options.items():
        if value is not None and not (value > bound and math.isfinite(value)):
            _refuse(name, value, f"above {bound:g}")


def between(low: float, high: float, **options: float | None) -> None:
    """Refuses numbers that do not lie between `low` and `high`, neither included."""
    for name, value in options.items():
        if value is not None and not low < value < high:
            raise UserError(f"{name} must lie between {low:g} and {high:g}, found {value}.")


def share(**options: float | None) -> None:
    """Refuses numbers that are not above 0 and at most 1."""
    for name, value in options.items():
        if value is not None and not 0 < value <= 1:
            _refuse(name, value, "above 0 and at most 1")


def reaching(level: float, **options: int | None) -> None:
    """Refuses numbers of permutations of which no result has a p-value of `level`, which is at least 1 / (1 + number).

    None stands for an option that is not used.

    Raises:
        UserError: the first option that is too small.
    """
    least = math.ceil(1 / level - 1 - _ROUNDING)
    for name, value in options.items():
        if value is not None and value < least:
            raise UserError(
                f"{name} must be at least {least}, found {value}: fewer draws cannot give a p-value of "
                f"{level:g}.\nNext: --{name} {least}"
            )


def seeds(**options: int) -> None:
    """Refuses what is not a seed for every generator in use: 0 to 2^32 - 1."""
    for name, value in options.items():
        if not 0 <= value <= LARGEST_SEED:
            _refuse(name, value, f"from 0 to {LARGEST_SEED}")


def penalty_grid(**options: Sequence[float]) -> None:
    """Refuses an empty list of penalties, and one with numbers that are not above 0 and finite."""
    for name, values in options.items():
        if not values or not all(0 < value < math.inf for value in values):
            raise UserError(f"{name} must be numbers above 0, at least one, found {list(values)}.")


def _refuse(name: str, value: float, allowed: str) -> None:
    raise UserError(f"{name} must be {allowed}, found {value}.")
