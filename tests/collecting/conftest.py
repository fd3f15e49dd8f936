"""A tiny study-1 collection to interrupt, and a way to start it quickly."""

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from benchmarks.fork_server import ForkServer
from benchmarks.forked_workers import ForkedProcess
from benchmarks.process_tree import is_running
from benchmarks.same_results import is_torn
from lit_experiments.errors import EXIT_DONE
from tests.toys import bigram_model

WORDS = ["the", "cat", "sat", "mat"]
TRANSITION = np.array([[0.1, 0.5, 0.1, 0.3], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1], [0.01, 0.01, 0.01, 0.97]])
SAMPLES = 40
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Launcher:
    """Starts commands without their imports, one at a time; their output goes to log.txt in `folder`."""

    server: ForkServer
    folder: Path
    luck: random.Random = field(default_factory=lambda: random.Random(0))
    current: ForkedProcess | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def start(self, argv: list[str], env: dict[str, str] | None = None) -> int:
        """Starts a command; returns its pid. env: further environment variables."""
        self.current = self.server.start(argv, self.folder, env)
        return self.current.pid

    def wait(self) -> int:
        """Exit code of the command started last, negative for a signal."""
        assert self.current is not None
        return self.current.wait()

    def run(self, argv: list[str]) -> int:
        self.start(argv)
        return self.wait()

    def interrupt(self, argv: list[str], number: int, within: float) -> int:
        """Starts a command and sends it a signal at a random moment."""
        pid = self.start(argv)
        moment = time.monotonic() + self.luck.uniform(0, within)
        while time.monotonic() < moment and is_running(pid):
            time.sleep(min(0.01, max(0.0, moment - time.monotonic())))
        os.kill(pid, number)
        return self.wait()

    def interrupt_commit(self, argv: list[str], number: int, run: Path) -> int:
        """Starts a command and sends the signal while a segment's data is on disk and its commit is not."""
        pid = self.start(argv)
        while not is_torn(run.parent) and is_running(pid):
            time.sleep(0.0005)
        if is_running(pid):
            os.kill(pid, number)
        return self.wait()


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a small collection that takes half a second and commits all the time."""
    folder = tmp_path_factory.mktemp("toy")
    bigram_model(folder / "model", TRANSITION, WORDS)
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(SAMPLES)]
    (folder / "contexts.txt").write_text("\n".join(lines))
    return [
        *("collect", "--exp", "tempnorm", "--model", str(folder / "model"), "--accelerator", "cpu"),
        *("--contexts", str(folder / "contexts.txt"), "--gen_length", "10", "--eval_lengths", "[1, 10]"),
        *("--gen_number", "3", "--initial_wander", "4", "--batch_size", "2", "--flush_seconds", "0.02"),
    ]


@pytest.fixture(scope="session")
def undisturbed(launcher: Launcher, toy: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run from start to end in one piece, and how long it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for name in ("warm-up", "run"):
        started = time.monotonic()
        assert launcher.run([*toy, "--run", str(folder / name)]) == EXIT_DONE
    assert len(stores.open_store(folder / "run" / "store")) == SAMPLES
    return folder / "run", time.monotonic() - started


def content(run: Path | str) -> dict[str, Any]:
    """Everything in a run's store, rows in order, and its certificate. run: its folder or URL."""
    store = stores.open_store(f"{run}/store")
    stored: dict[str, Any] = {name: store.field(name).read() for name in (f.name for f in store.schema.fields)}
    stored["certificate"] = stores.certify(store).root
    return stored | store.table([c.name for c in store.schema.columns]).to_pydict() | {"sample_id": store.sample_ids}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[name], err_msg=name)
        else:
            assert value == other[name], name
