"""Whether two folders hold the same stores, results and exports; and how far a command has come in one."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import stores

RESULTS = {"training": "run/tempnorm_ridge", "analysing": "texts/prefill_dynamics"}  # where a stage writes


def differences(folder: Path, reference: Path, exactly: bool) -> Iterator[str]:
    """What an interrupted command left otherwise than one that was never disturbed.

    exactly: results byte for byte. Without it their numbers may differ in the last places: training adds rows up in
    the order in which they lie in the store, and an interrupted collection leaves them in another order.
    """
    for result in ("run", "texts"):
        store = folder / result / "store"
        if store.exists():
            yield from (f"verify: {problem.path}: {problem.what}" for problem in stores.verify(store))
            yield from _store_differences(store, reference / result / "store")
    for path in sorted(p for p in reference.rglob("*") if p.is_file() and _is_compared(p.relative_to(reference))):
        mine = folder / path.relative_to(reference)
        if not mine.exists():
            yield f"{mine} is missing"
        elif not _is_same(mine, path, exactly):
            yield f"{mine} differs from {path}"


def _store_differences(one: Path, other: Path) -> Iterator[str]:
    mine, theirs = stores.open_store(one), stores.open_store(other)
    lost, extra = set(theirs.sample_ids) - set(mine.sample_ids), len(mine.sample_ids) - len(set(mine.sample_ids))
    if lost or extra:
        yield f"{one}: rows lost {len(lost)}, twice {extra}"
        return
    for name in (f.name for f in theirs.schema.fields):
        if not np.array_equal(mine.field(name).read(), theirs.field(name).read(), equal_nan=True):
            yield f"{one}: field {name} differs"
    columns = [c.name for c in theirs.schema.columns]
    if str(mine.table(columns).to_pydict()) != str(theirs.table(columns).to_pydict()):
        yield f"{one}: columns differ"


def _is_same(mine: Path, other: Path, exactly: bool) -> bool:
    if mine.read_bytes() == other.read_bytes():
        return True
    if exactly or mine.suffix not in (".json", ".csv"):
        return False
    return _is_close(_values(mine), _values(other))


def _values(path: Path) -> Any:
    """What a JSON file holds, or the cells of a CSV file, numbers as numbers."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        values = json.loads(text)
        if path.name == "certificate.json":  # an interrupted collection commits its rows in another order
            del values["commits"]
        return values
    return [[_number(cell) for cell in row] for row in csv.reader(text.splitlines())]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _is_close(one: Any, other: Any) -> bool:
    """Equal, but for the last places of floating-point numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-10)
    return bool(one == other)


def _is_compared(relative: Path) -> bool:
    """Results and exports; not stores (their parts differ by launch), pictures, pages, logs, checkpoints."""
    if relative.parts[0] == "exported":
        return True
    in_results = any(str(relative).startswith(result) for result in RESULTS.values())
    return (
        in_results
        and relative.suffix in (".json", ".csv", ".safetensors", ".npy", ".md")
        and ("checkpoints" not in str(relative))
    )


def commits(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/store/parts/*/rows-*.parquet"))


def is_torn(folder: Path) -> bool:
    """Whether some segment's data is on the disk and its commit is not."""
    for part in folder.glob("*/store/parts/*"):
        names = [p.name for p in part.iterdir()]
        begun = {n.split("-")[1].split(".")[0] for n in names if n.startswith("arrays-")}
        if begun - {n.split("-")[1] for n in names if n.startswith("rows-") and n.endswith(".parquet")}:
            return True
    return False


def began(results: Path, started: float) -> bool:
    """Whether a stage that writes there has begun since."""
    config = results / "config.yaml"
    return config.exists() and config.stat().st_mtime >= started
