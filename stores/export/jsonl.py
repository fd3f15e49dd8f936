"""JSON Lines: one object per row, metadata and arrays as nested lists. NaN becomes null, infinities become strings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..reader import Store


def export_jsonl(
    store: Store,
    out: Path,
    record: Callable[[dict[str, Any]], dict[str, Any]] | None,
    header: dict[str, Any] | None,
    compress: bool,
) -> None:
    """Write rows in order; `compress` with zstd. `record` and `header`: see `export`."""
    import pyarrow as pa

    with pa.OSFile(str(out), "wb") as file, pa.CompressedOutputStream(file, "zstd") if compress else file as sink:
        if header is not None:
            sink.write(_line(header))
        for row in store.iter_rows():
            sink.write(_line(row if record is None else record(row)))


def _line(row: dict[str, Any]) -> bytes:
    return (json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """numpy arrays and numbers as JSON values; NaN as None, infinities as "Infinity" and "-Infinity"."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        finite = value.dtype.kind != "f" or bool(np.isfinite(value).all())
        return value.tolist() if finite else plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
