"""What the analyses of study 3 share: opening a run's store, confidences, JSON, the look of figures over layers.

Does not know: what is analyzed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.statistics import Estimate
from stores import Store, open_store

SELF, OTHER = "self_confidence", "other_confidence"
CONFIDENCE_PASSES = (SELF, OTHER)
READS = "introspection"
DEMONSTRATION = "The embedded model is a demonstration subject; nothing here is a scientific result."
_NEEDED = {"question_id", "prompt_type", SELF, OTHER}
_MOST_TICKS = 12


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


def is_embedded(store: Store) -> bool:
    """Whether the data came from the small model that ships with the package."""
    return bool(store.provenance.get("config", {}).get("options", {}).get("model") == "embedded")


def check_settings(folds: int, bootstraps: int, penalties: Sequence[float]) -> None:
    """Raises UserError for settings that no data could go with."""
    if folds < 2:
        raise UserError(f"folds must be at least 2, found {folds}.")
    if bootstraps < 1:
        raise UserError(f"bootstraps must be at least 1, found {bootstraps}.")
    if not penalties or not all(0 < p < float("inf") for p in penalties):
        raise UserError(f"penalties must be positive numbers, at least one, found {list(penalties)}.")


def plain(value: Any) -> Any:
    """Estimates, arrays and NaN as JSON has them."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps(plain(content), indent=2, allow_nan=False), encoding="utf-8")
    draft.replace(path)


def layer_axis(axes: Any, names: Sequence[str]) -> list[int]:
    """Labels the horizontal axis with the sites; returns where each is drawn."""
    at = list(range(len(names)))
    kinds = {name.rpartition(".")[0] for name in names}
    numbered = len(kinds) == 1 and "" not in kinds
    every = -(-len(at) // _MOST_TICKS)
    labels = [name.rpartition(".")[2] if numbered else name for name in names]
    axes.set_xticks(at[::every], labels[::every], rotation=0 if numbered else 60)
    axes.set_xlabel(f"layer ({kinds.pop()})" if numbered else "site")
    return at


def band(axes: Any, at: list[int], values: Sequence[Estimate], color: str, label: str, style: str = "o-") -> None:
    """A line with its intervals; no value, no point."""
    middle, low, high = (np.array([getattr(v, name) for v in values]) for name in ("value", "low", "high"))
    axes.plot(at, middle, style, color=color, label=label, markersize=4)
    if len(at) == 1:  # one layer: a band would have no width
        axes.vlines(at, low, high, color=color, alpha=0.4, linewidth=3)
    else:
        axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)


def legend(axes: Any) -> None:
    """A legend below the axis, where it covers nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9)


def unit_range(axes: Any) -> tuple[float, float]:
    """Vertical limits for correlations and cosines drawn so far: from 0, or below the lowest, to just above 1."""
    lowest = min(0.0, max(float(axes.dataLim.y0), -1.5))
    return (lowest - 0.06, max(1.06, min(float(axes.dataLim.y1), 1.5) + 0.03))
