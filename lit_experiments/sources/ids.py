"""Ids of samples: two records under one id would overwrite or hide each other, so that is refused."""

from __future__ import annotations

from collections.abc import Iterable

from lit_experiments.sources.errors import SourceError


def check_unique(ids: Iterable[tuple[str, str]], name: str, option: str) -> None:
    """Check (id, where) pairs.

    Args:
        option: the command line option that names the id's column; empty if there is none.

    Raises:
        SourceError: an id occurs twice; the message has both places.
    """
    first: dict[str, str] = {}
    for identity, where in ids:
        if identity in first:
            other = f", or name another column with {option}" if option else ""
            raise SourceError(
                f'{name}: the id "{identity}" occurs twice, at {first[identity]} and {where}.\n'
                f"Next: give every record an id of its own{other}."
            )
        first[identity] = where
