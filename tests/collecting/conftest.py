"""A tiny study-1 collection to interrupt, and a way to start it quickly."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from tests.toys import bigram_model

WORDS = ["the", "cat", "sat", "mat"]
TRANSITION = np.array([[0.1, 0.5, 0.1, 0.3], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1], [0.01, 0.01, 0.01, 0.97]])
SAMPLES = 40


@dataclass
class Launcher:
    """The forking process of launcher.py."""

    process: Any
    log: Path
    luck: random.Random = field(default_factory=lambda: random.Random(0))

    def start(self, argv: list[str]) -> int:
        """Starts a command; returns its pid."""
        return self._order([argv, str(self.log)])

    def wait(self) -> int:
        """Exit code of the command started last, negative for a signal."""
        return self._order("wait")

    def run(self, argv: list[str]) -> int:
        self.start(argv)
        return self.wait()

    def interrupt(self, argv: list[str], number: int, within: float) -> int:
        """Starts a command and sends it a signal at a random moment."""
        pid = self.start(argv)
        time.sleep(self.luck.uniform(0, within))
        os.kill(pid, number)
        return self.wait()

    def interrupt_commit(self, argv: list[str], number: int, run: Path) -> int:
        """Starts a command and sends the signal while a segment's data is on disk and its commit is not."""
        pid = self.start(argv)
        while not _torn(run) and _running(pid):
            time.sleep(0.0005)
        if _running(pid):
            os.kill(pid, number)
        return self.wait()

    def _order(self, order: Any) -> int:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.log.read_text()
        return int(answer)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    log = tmp_path_factory.mktemp("launcher") / "log.txt"
    log.touch()
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(Path(__file__).with_name("launcher.py"))]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=env, cwd=root, **pipes) as process:
        yield Launcher(process, log)
        process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a small collection that takes about a second and commits all the time."""
    folder = tmp_path_factory.mktemp("toy")
    bigram_model(folder / "model", TRANSITION, WORDS)
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(SAMPLES)]
    (folder / "contexts.txt").write_text("\n".join(lines))
    return [
        *("collect", "--exp", "tempnorm", "--model", str(folder / "model"), "--accelerator", "cpu"),
        *("--contexts", str(folder / "contexts.txt"), "--gen_length", "24", "--eval_lengths", "[1, 24]"),
        *("--gen_number", "3", "--initial_wander", "4", "--batch_size", "2", "--flush_seconds", "0.02"),
    ]


def _torn(run: Path) -> bool:
    parts = run / "store" / "parts"
    newest = max(parts.iterdir(), key=lambda p: p.name) if parts.is_dir() and any(parts.iterdir()) else None
    if newest is None:
        return False
    names = [p.name for p in newest.iterdir()]
    begun = {n.split("-")[1].split(".")[0] for n in names if n.startswith("arrays-")}
    committed = {n.split("-")[1] for n in names if n.startswith("rows-") and n.endswith(".parquet")}
    return bool(begun - committed)


def _running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def content(run: Path) -> dict[str, Any]:
    """Everything in a run's store, rows in order."""
    store = stores.open_store(run / "store")
    found: dict[str, Any] = {name: store.field(name).read() for name in (f.name for f in store.schema.fields)}
    return found | store.table([c.name for c in store.schema.columns]).to_pydict() | {"sample_id": store.sample_ids}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[name], err_msg=name)
        else:
            assert value == other[name], name
