"""Records that say the same: counted, and said; what a study makes of them is its own affair."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


def repeats_note(values: Iterable[Hashable], what: str) -> str | None:
    """ "12 distinct texts among 60", or None where no two are the same.

    Args:
        what: the values in the plural.
    """
    total, distinct = 0, set[Hashable]()
    for value in values:
        total += 1
        distinct.add(value)
    return None if len(distinct) == total else f"{len(distinct):,} distinct {what} among {total:,}"
