"""Results as plain JSON: estimates, dataclasses, arrays and missing values; files written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Estimates, dataclasses, arrays, lists and dicts as plain JSON types; NaN becomes None.

    An Estimate is a dataclass like any other here: `{"value", "low", "high", "n", "level"}`.
    """
    if is_dataclass(value) and not isinstance(value, type):
        written = (f.name for f in fields(value) if f.metadata.get("json", True))
        return {name: plain(getattr(value, name)) for name in written}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value


def shallow(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, as they are."""
    return {f.name: getattr(value, f.name) for f in fields(value)}


def write_json(path: Path, content: Any) -> None:
    """Writes `plain(content)`; a reader never sees half a file. Raises ValueError for an infinite number."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps(plain(content), indent=2, allow_nan=False), encoding="utf-8")
    draft.replace(path)
