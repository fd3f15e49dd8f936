"""A folder of runs as people have them, one of which means harm, and a server of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from lit_experiments.serving.server import Server
from lit_experiments.serving.site import Site
from stores import Column, Field, PartWriter, Records, Schema, create_store, fingerprint_hash

HARM = "</script><script>document.title='harmed'</script><img src=x onerror=\"document.title='harmed'\">\"'&"
LAYERS = ["resid_post.0", "resid_post.1"]
HIDDEN = 4
FINGERPRINT = {"model": {"model": {"weights": "toy"}, "adapter": None, "bos_policy": "none", "prefix": []}}
WORDS = ("The", " old", " gardener", " waters", " roses")
SCHEMA = Schema(
    (
        Field("resid_post", ("layer", "token", "hidden"), (2, None, HIDDEN), "float32", "", "states"),
        Field("pooled", ("sample", "hidden"), (None, HIDDEN), "float32", "", "their mean"),
        Field("surprisal", ("token",), (None,), "float32", "nats", "of each token"),
    ),
    (
        Column("text", "string", "what was read"),
        Column("tokens", "list<string>", "its tokens"),
        Column("kind", "string", "a label"),
    ),
    {"layer": [*LAYERS]},
)


def write_rows(path: Path, start: int, stop: int, harm: str = "") -> None:
    """Commits rows start..stop: row i has 2 + i % 4 tokens, and states that are random with seed i."""
    create_store(path, SCHEMA, FINGERPRINT, {}, "zarr")
    with PartWriter(path, 0, 1, 1e9) as writer:
        for i in range(start, stop):
            states = row_states(i)
            tokens = [word + harm for word in WORDS[: states.shape[1]]]
            row = {"sample_id": f"row-{i:03}{harm}", "sample_index": i, "text": "".join(tokens)}
            columns = [row | {"tokens": tokens, "kind": f"kind {i % 3}{harm}"}]
            fields = {"resid_post": states, "pooled": states[-1].mean(0)[None], "surprisal": states[0, :, 0]}
            writer.append(Records(columns, fields, {"token": np.array([states.shape[1]])}))


def row_states(i: int) -> np.ndarray:
    """[layer, token, hidden]"""
    return np.random.default_rng(i).normal(size=(2, 2 + i % 4, HIDDEN)).astype(np.float32)


def write_probe(folder: Path, layer: str, seed: int) -> LinearProbe:
    """A probe of one target with random weights."""
    weights = np.random.default_rng(seed).normal(size=(1, HIDDEN))
    ones, zeros = np.ones((1, HIDDEN)), np.zeros((1, HIDDEN))
    intercept, penalty = np.array([0.5]), np.array([1.0])
    about = {"store": fingerprint_hash(FINGERPRINT), "model": FINGERPRINT["model"]}
    probe = LinearProbe(("length",), (layer,), weights, zeros, ones, intercept, penalty, about, 9)
    save_probe(probe, folder)
    return probe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/: `plain` with a probe and a page, `own`, a store written with `stores` alone, and a run that means harm."""
    runs = tmp_path_factory.mktemp("home") / "runs"
    write_rows(runs / "plain/store", 0, 120)
    for layer, seed in ((LAYERS[1], 1), (LAYERS[0], 0)):
        write_probe(runs / "plain/linear_probes/length" / layer, layer, seed)
    write_probe(runs / "plain/linear_probes/length", LAYERS[1], 1)
    page = "<!doctype html><link rel=icon href=data:,><title>A page</title><h1 id=head>Results</h1>"
    page += "<script>document.title += ' drawn'</script>"
    (runs / "plain/linear_probes/report.html").write_text(page)
    (runs / "plain/linear_probes/config.yaml").write_text("exp: linear_probes\n")
    write_rows(runs / "own", 0, 3)
    write_rows(runs / "harm'\"<i>&" / "store", 0, 3, HARM)
    return runs


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """Answers from a thread until the module's tests have ended."""
    with Server(Site(folder), 0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
