"""The two engines next to each other, and commands that use them."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WHY = "vLLM is not installed in this environment: `make test-vllm` installs it next to this one and runs these tests"

Collect = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without vLLM these tests are skipped, and a warning says so in the summary."""
    ours = [item for item in items if HERE in item.path.parents]
    if ours and find_spec("vllm") is None:
        warnings.warn(f"{len(ours)} tests of --engine vllm skipped: {WHY}", stacklevel=1)
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="session")
def collect() -> Collect:
    """`collect(exp, run, *options)` in a process of its own, as a user's; its output when it has ended."""

    def start(exp: str, run: Path, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lit_experiments.cli", "collect", "--exp", exp, "--run", str(run), *options]
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, cwd=run.parent, capture_output=True, text=True, timeout=850)
        assert done.returncode == code, done.stderr[-3000:]
        return done

    return start
