"""A small store's schema and rows whose every value follows from the sample's index, so that any reader can check
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import stores

LAYERS, HIDDEN = 3, 8
SCHEMA = stores.Schema(
    fields=(
        stores.Field("resid_post", ("layer", "token", "hidden"), (LAYERS, None, HIDDEN), "float16", "1", "residual"),
        stores.Field("start", ("layer", "sample", "hidden"), (LAYERS, None, HIDDEN), "float32", "1", "at the start"),
        stores.Field("log_probs", ("sample", "draw", "step"), (None, 2, 4), "float32", "nats", "sampled", "record"),
        stores.Field("ids", ("token",), (None,), "int64", "1", "token ids"),
    ),
    columns=(
        stores.Column("text", "string", "some text"),
        stores.Column("count", "int64", "a number"),
        stores.Column("score", "float64", "a number or nothing"),
        stores.Column("right", "bool", "a flag"),
        stores.Column("tags", "list<string>", "words"),
        stores.Column("options", "json", "anything"),
    ),
    coords={"layer": ["embed", "resid_post.0", "resid_post.1"]},
)
FINGERPRINT = {"model": {"name": "toy", "layers": 3}, "seed": 1, "sites": ["embed", "resid_post.0"]}


def length(index: int) -> int:
    """Tokens of a sample; some have none."""
    return (index * 7 + 3) % 6


def values(index: int) -> dict[str, np.ndarray]:
    """A sample's arrays, in the dims of each field without "sample"."""
    rng = np.random.default_rng(index)
    log_probs = rng.standard_normal((2, 4)).astype(np.float32)
    log_probs[:, 3:] = np.nan
    n = length(index)
    return {
        "resid_post": rng.integers(-500, 500, (LAYERS, n, HIDDEN)).astype(np.float32),
        "start": rng.standard_normal((LAYERS, HIDDEN)).astype(np.float32),
        "log_probs": log_probs,
        "ids": rng.integers(0, 1 << 40, n),
    }


def row(index: int) -> dict[str, Any]:
    """A sample's metadata."""
    return {
        "sample_id": f"sample-{index}",
        "sample_index": index,
        "text": f"text {index} é",
        "count": index * 2,
        "score": None if index % 5 == 0 else index / 3,
        "right": index % 2 == 0,
        "tags": [f"t{index}", "all"],
        "options": {"index": index, "list": [1, None]},
    }


def records(indices: Iterable[int]) -> stores.Records:
    """A batch of samples."""
    chosen = [int(i) for i in indices]
    samples = [values(i) for i in chosen]
    return stores.Records(
        rows=[row(i) for i in chosen],
        arrays={
            "resid_post": np.concatenate([v["resid_post"] for v in samples], axis=1),
            "start": np.stack([v["start"] for v in samples], axis=1),
            "log_probs": np.stack([v["log_probs"] for v in samples]),
            "ids": np.concatenate([v["ids"] for v in samples]),
        },
        lengths={"token": np.array([length(i) for i in chosen])},
    )


def create(path: str | Path, backend: str) -> stores.Store:
    return stores.create_store(path, SCHEMA, FINGERPRINT, {"made": "by a test"}, backend)


def write(
    path: str | Path, batches: Iterable[Iterable[int]], rank: int = 0, flush_bytes: int = 1 << 30
) -> stores.PartWriter:
    """Write batches as one part; flush_bytes=1 makes each batch a commit."""
    with stores.PartWriter(path, rank, flush_bytes, 1e9) as writer:
        for batch in batches:
            writer.append(records(batch))
    return writer


def assert_rows(store: stores.Store, indices: Iterable[int]) -> None:
    """The store holds exactly these samples, in order, every value right."""
    expected = sorted(indices)
    assert store.sample_ids == [f"sample-{i}" for i in expected]
    for stored, index in zip(store.iter_rows(), expected, strict=True):
        for name, value in row(index).items():
            assert stored[name] == value, name
        for name, array in values(index).items():
            np.testing.assert_array_equal(stored[name], array, err_msg=f"{name} of sample {index}")
