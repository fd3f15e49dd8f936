"""Stores written by hand with `stores` alone, with planted truths, and the command that trains on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import stores
from lit_experiments.cli import main
from lit_experiments.experiments.linear_probes.result import LinearProbesResult, TargetResult
from lit_experiments.tasks.result_files import read_result
from stores import Column, Field, PartWriter, Records, Schema

LAYERS = ["resid_post.0", "resid_post.1", "resid_post.2"]
HIDDEN = 8
QUICK = {"bootstraps": 200, "permutations": 99, "shuffles": 19, "folds": 3, "surface_model": "numbers"}
_WORDS = np.array([f"{a}{b}{c}" for a in ("ba", "ke", "li", "mo", "nu") for b in ("ta", "ven", "sil") for c in "xyz"])


def random_texts(rng: np.random.Generator, rows: int, words: int = 12) -> list[str]:
    """Texts that have nothing in common."""
    return [" ".join(rng.choice(_WORDS, words)) for _ in range(rows)]


def planted(rng: np.random.Generator, feature: Sequence[float], layer: int = 1) -> np.ndarray:
    """Noise [layer, row, hidden] that holds a feature [row] along one direction from a layer on."""
    values = np.asarray(feature, np.float64)
    states = rng.normal(size=(len(LAYERS), len(values), HIDDEN))
    direction = np.ones(HIDDEN) / np.sqrt(HIDDEN)
    states[layer:] += values[:, None] * direction
    return states.astype(np.float32)


def write_store(
    run: Path,
    states: np.ndarray,
    columns: dict[str, Sequence[Any]],
    types: dict[str, str],
    lengths: Sequence[int] | None = None,
    field: str = "states",
) -> None:
    """A store with one field over [layer, sample, hidden], or [layer, token, hidden] where rows have lengths."""
    dim = "sample" if lengths is None else "token"
    fields = (Field(field, ("layer", dim, "hidden"), (len(LAYERS), None, HIDDEN), "float32", "", "states"),)
    schema = Schema(fields, tuple(Column(name, types[name], "") for name in columns), {"layer": LAYERS})
    stores.create_store(run / "store", schema, {"name": run.name}, {}, "zarr")
    count = len(next(iter(columns.values())))
    rows = [
        {"sample_id": f"s{i:04d}", "sample_index": i, **{name: values[i] for name, values in columns.items()}}
        for i in range(count)
    ]
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        writer.append(Records(rows, {field: states}, {} if lengths is None else {"token": np.asarray(lengths)}))


def train(run: Path, *options: str, **quick: Any) -> int:
    """The exit code of training on a run, with few resamples."""
    settings = [part for name, value in {**QUICK, **quick}.items() for part in (f"--{name}", str(value))]
    return main(["train", "--exp", "linear_probes", "--run", str(run), "--accelerator", "cpu", *settings, *options])


def result_of(run: Path) -> LinearProbesResult:
    """What a training wrote."""
    return read_result(run / "linear_probes", LinearProbesResult)


def target_of(run: Path, name: str) -> TargetResult:
    """What a training wrote of one target."""
    return next(target for target in result_of(run).targets if target.target == name)


def declare(run: Path, **declarations: Any) -> None:
    """Writes declarations.json as a collection does."""
    whole = {"label_columns": [], "group_column": None, "split_column": None} | declarations
    (run / "declarations.json").write_text(json.dumps(whole))
