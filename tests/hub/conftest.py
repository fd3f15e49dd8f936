"""The stand-in for the Hub in a process of its own, the real client pointed at it, and small folders to push."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

import stores
from lit_experiments.claims.audit import Audit, audited
from lit_experiments.claims.rule import judged
from lit_experiments.collecting.ended import NAME as ENDED
from lit_experiments.collecting.ended import mark_ended
from lit_experiments.plain import write_json
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from tests.claims.test_rule import CLAIM, NOISE, STRONG
from tests.hub.server import WRITER, control

ROOT = Path(__file__).resolve().parents[2]
HIDDEN, SITES, ROWS = 64, 4, 60


@dataclass(frozen=True)
class Stand:
    """The stand-in on its port."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> list[list[Any]]:
        """(method, path, status, bytes in, bytes out) of the requests since it was last asked."""
        entries: list[list[Any]] = control(self.port, "log")
        return entries

    def ask(self, what: str, content: Any) -> None:
        control(self.port, what, content)

    def environment(self) -> dict[str, str]:
        """Of a process that takes it for the Hub."""
        return {**os.environ, "HF_ENDPOINT": self.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": WRITER}


@pytest.fixture(scope="session")
def server() -> Iterator[Stand]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hub.server", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    yield Stand(int(process.stdout.readline()))
    process.kill()
    process.wait()


@pytest.fixture
def hub(server: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stand:
    """Points the client here, as HF_ENDPOINT and HF_HOME would at its import; with a token that may write."""
    server.ask("reset", [])
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    url = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.chdir(tmp_path)
    return server


def write_run(run: Path, first: int = 0, ended: bool = True) -> Path:
    """A finished run as a collection leaves it: a store of two commits, settings, an audit of two claims."""
    field = stores.Field(
        "hidden_last", ("site", "sample", "hidden"), (SITES, None, HIDDEN), "float32", "", "last token"
    )
    columns = (stores.Column("text", "string", "what was read"),)
    schema = stores.Schema((field,), columns, {"site": [f"resid_post.{n}" for n in range(SITES)]})
    config = {"exp": "activations", "init_args": {"texts": "/home/somebody/secret/texts.csv"}}
    config["options"] = {"model": "org/tiny", "revision": "v1", "adapter": None, "quantization": None, "limit": None}
    fingerprint = {
        "model": {"model": {"repository": "org/tiny", "commit": "c" * 40}, "dtype": "bfloat16"},
        "settings": {"texts": "d" * 64, "seed": first},
    }
    stores.create_store(run / "store", schema, fingerprint, {"config": config, "notes": []}, "zarr")
    write_rows(run, range(ROWS // 2), range(ROWS // 2, ROWS))
    if not ended:
        (run / ENDED).unlink()
    claims = audited([(judged(CLAIM, STRONG), False), (judged(CLAIM, NOISE), False)])
    (run / "audit").mkdir()
    write_json(run / "audit" / "audit.json", Audit(str(run), claims, ["linear_probes"], None, None))
    return run


def write_rows(run: Path, *commits: Iterable[int]) -> None:
    """Rows of these indices, each group as one commit of a new part; then the run has ended."""
    with stores.PartWriter(run / "store", 0, 1 << 30, 1e9) as writer:
        for indices in map(list, commits):
            rows = [{"sample_id": f"s{n}", "sample_index": n, "text": f"text {n}"} for n in indices]
            values = np.random.default_rng(indices).standard_normal((SITES, len(rows), HIDDEN)).astype(np.float32)
            writer.append(stores.Records(rows, {"hidden_last": values}, {}))
            writer.commit()
    mark_ended(run, stores.open_store(run / "store"))


def write_probe(folder: Path) -> Path:
    """A linear probe of one target."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((1, HIDDEN)) for name in ("weights", "mean")}
    rest = {"scale": np.ones((1, HIDDEN)), "intercept": np.zeros(1), "penalty": np.ones(1)}
    fingerprint: dict[str, Any] = {"store": "x"}
    save_probe(LinearProbe(("kind",), ("resid_post.1",), fingerprint=fingerprint, rows=40, **arrays, **rest), folder)
    return folder
