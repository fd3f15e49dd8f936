"""What the analyses of study 3 share: opening a run's store, its passes, settings.

Does not know: what is analyzed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError
from lit_experiments.ranges import at_least, penalty_grid, seeds
from stores import Store, open_store

SELF, OTHER = "self_confidence", "other_confidence"
CONFIDENCE_PASSES = (SELF, OTHER)
READS = "introspection"
_NEEDED = {"question_id", "prompt_type", SELF, OTHER}


class NothingToCompare(ValueError):
    """The data cannot answer the question asked of it; the message is the statement for the report."""


def open_introspection(run: Path) -> Store:
    """The store of a run.

    Raises:
        UserError: it is no store of study 3, or holds no confidence pass.
    """
    store = open_store(run / "store")
    missing = _NEEDED - set(store.column_names)
    if "resid_post" not in {field.name for field in store.schema.fields}:
        missing |= {"resid_post"}
    again = f"\nNext: python collect.py --exp {READS}, or point --run at such a run."
    if missing:
        raise UserError(f"{store.path} is no store of study 3: it lacks {', '.join(sorted(missing))}.{again}")
    kinds = sorted(set(store.table(["prompt_type"]).column(0).to_pylist()))
    if not set(kinds) & set(CONFIDENCE_PASSES):
        found = ", ".join(kinds) or "no row"
        raise UserError(
            f"{store.path} holds no row of {SELF} or {OTHER} (it has: {found}), so no confidence to analyze.{again}"
        )
    return store


def identity(store: Store, settings: dict[str, Any]) -> dict[str, Any]:
    """What results follow from: the store's content and the settings."""
    return {"store": store.fingerprint, "rows": len(store), "settings": settings}


def check_settings(folds: int, bootstraps: int, seed: int, penalties: Sequence[float] = (1.0,)) -> None:
    """Raises UserError for settings that no data could go with."""
    at_least(2, folds=folds)
    at_least(1, bootstraps=bootstraps)
    seeds(seed=seed)
    penalty_grid(penalties=penalties)
