"""What users may give to select rows or places along a dim, made into plain ints, slices and int arrays. Pure
functions.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SelectionError

Ints = NDArray[np.int64]


def as_pick(given: Any, size: int, dim: str) -> int | slice | Ints:
    """A place or places along one dim, non-negative and inside it. Raises SelectionError."""
    if isinstance(given, slice):
        return given
    if isinstance(given, int | np.integer) and not isinstance(given, bool | np.bool_):
        return _inside(np.array([operator.index(given)]), size, dim)[0].item()
    array = np.asarray(given)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
        raise SelectionError(f"Along {dim!r} give an int, a slice, a 1-d int array or a bool mask, not {given!r:.60}.")
    if array.dtype == np.bool_:
        return _mask(array, size, dim)
    return _inside(array.astype(np.int64), size, dim)


def as_rows(given: Any, n: int) -> slice | Ints:
    """Rows to read: None for all, or as for `as_pick`, an int being one row kept."""
    if given is None:
        return slice(None)
    pick = as_pick(given, n, "row")
    return np.array([pick]) if isinstance(pick, int) else pick


def chosen_rows(rows: Ints | None, given: Any, n: int) -> Ints | None:
    """Some of `rows`, None being all `n` rows there are; `given` as for `as_rows`."""
    pick = as_rows(given, n)
    if rows is not None:
        return rows[pick]
    if isinstance(pick, slice):
        span = range(*pick.indices(n))
        return None if span == range(n) else np.arange(span.start, span.stop, span.step)
    return pick


def split_key(key: Any, ndim: int) -> tuple[Any, ...]:
    """A numpy-style key as one item per axis. Raises SelectionError for too many."""
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(keys) - len(dots) > ndim or len(dots) > 1:
        raise SelectionError(f"Index {key!r} has too many items for {ndim} axes.")
    at = dots[0] if dots else len(keys)
    rest = keys[at + 1 :] if dots else []
    return (*keys[:at], *(slice(None) for _ in range(ndim - at - len(rest))), *rest)


def blocks(sizes: Ints, limit: int) -> Iterator[slice]:
    """Slices of consecutive items whose sizes sum to at most `limit`, or of one item that is larger."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        used = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, used + limit, side="right")))
        yield slice(start, stop)
        start = stop


def _mask(mask: NDArray[Any], size: int, dim: str) -> Ints:
    if len(mask) != size:
        raise SelectionError(f"A mask of {len(mask)} for {size} places along {dim!r}.")
    return np.flatnonzero(mask)


def _inside(places: Ints, size: int, dim: str) -> Ints:
    bad = (places < -size) | (places >= size)
    if bad.any():
        raise SelectionError(f"Index {int(places[bad][0])} along {dim!r} is outside 0..{size - 1}.")
    return np.where(places < 0, places + size, places)
