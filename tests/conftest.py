"""Commands of the tests without their imports: one process for the session has imported everything, and forks them."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.fork_server import ForkServer
from benchmarks.forked_workers import take_over
from lit_experiments.collecting import crew
from tests.scratch import folder_in_memory

if TYPE_CHECKING:
    from tests.collecting.conftest import Launcher

ROOT = Path(__file__).resolve().parents[1]
_LONG = (
    "tests/golden/",
    "tests/cli/test_bad_inputs.py",
    "tests/collecting/",
    "tests/stores/test_kill.py",
    "tests/test_",
)


def pytest_configure() -> None:
    """Temporary folders lie in memory where they can; --basetemp and pytest's own variable name another place.
    Generated cases may take their time: a busy machine is no failure."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    if folder := folder_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Importing all tests makes some million objects that stay: looking through them for garbage, again and again, took
    a quarter of that time, and half a second at each later look. From here on they are left alone."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that no process works on one alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.fixture(scope="session")
def fork_server() -> Iterator[Callable[[], ForkServer]]:
    """Returns the session's server; starts it when it is first needed."""
    servers: list[ForkServer] = []

    def get() -> ForkServer:
        if not servers:
            servers.append(ForkServer(ROOT))
        return servers[0]

    yield get
    for server in servers:
        with server:
            pass


@pytest.fixture(scope="session", autouse=True)
def _forked_workers(fork_server: Callable[[], ForkServer]) -> None:
    """What a command in the test's own process starts, workers of `--devices 2` or a pipeline's steps, is forked."""
    take_over(lambda: fork_server().nursery)


@pytest.fixture(autouse=True)
def _real_starts(request: pytest.FixtureRequest) -> None:
    """In a test marked `real_starts` they are started as in a user's process."""
    if request.node.get_closest_marker("real_starts") is not None:
        request.getfixturevalue("monkeypatch").setattr(crew, "subprocess", subprocess)


@pytest.fixture(scope="session")
def launcher(fork_server: Callable[[], ForkServer], tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    from tests.collecting.conftest import Launcher  # heavy imports belong to the collection, see above

    return Launcher(fork_server(), tmp_path_factory.mktemp("launcher"))
