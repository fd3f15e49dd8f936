"""What the analyses of study 3 share: opening a run's store, its passes, settings.

Does not know: what is analyzed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError
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


def check_settings(folds: int, bootstraps: int, penalties: Sequence[float]) -> None:
    """Raises UserError for settings that no data could go with."""
    if folds < 2:
        raise UserError(f"folds must be at least 2, found {folds}.")
    if bootstraps < 1:
        raise UserError(f"bootstraps must be at least 1, found {bootstraps}.")
    if not penalties or not all(0 < p < float("inf") for p in penalties):
        raise UserError(f"penalties must be positive numbers, at least one, found {list(penalties)}.")
