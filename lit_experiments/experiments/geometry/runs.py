"""What the analyses of study 4 share: opening a run of the experiment they read.

Does not know: what is analyzed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError
from stores import Store, open_store


def open_run(run: Path, experiment: str, field: str) -> Store:
    """The store of a run of `experiment`, which is known by one of its fields or columns.

    Raises:
        UserError: it is another experiment's, or holds no row.
    """
    store = open_store(run / "store")
    again = f"\nNext: python collect.py --exp {experiment}, or point --run at the folder of such a run."
    if field not in {*store.column_names, *(each.name for each in store.schema.fields)}:
        raise UserError(f"{store.path} is no store of {experiment}: it lacks {field}.{again}")
    if not len(store):
        raise UserError(f"{store.path} holds no row yet.{again}")
    return store


def problem_statement(number: int) -> str:
    """A report's first statement: how many problems there are, and what follows from a single one."""
    return "1 problem: intervals are over problems, so there are none." if number == 1 else f"{number} problems."


def setting(store: Store, name: str) -> Any:
    """One of the settings that the collection was made with."""
    return store.fingerprint["settings"][name]


def identity(store: Store, settings: dict[str, Any]) -> dict[str, Any]:
    """What results follow from: the store's content and the settings."""
    return {"store": store.fingerprint, "rows": len(store), "settings": settings}
