"""SIGKILL at any moment, with two processes writing two parts of one store: whole commits stay, torn ones never show,
none is repeated.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stores

from .samples import assert_rows, create

KILLS = 12
FIRST = 8  # samples that are written in peace, to see how long that takes
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server():
    command = [sys.executable, "-m", "tests.stores.kill_server"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment) as process:

        def ask(wait_ms: int, count: int, path: str) -> str:
            process.stdin.write(f"{wait_ms} {count} {path}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert process.stdout.readline() == "ready\n"  # a life's length is measured, without the imports
        yield ask
        process.stdin.close()


def test_killed_writers_leave_whole_commits_and_are_continued(local, server):
    create(local.path, local.backend)
    rng = random.Random(7)
    began = time.perf_counter()
    assert server(-1, FIRST, local.path) == "finished"
    longest_ms = min(2000, max(120, round(1000 * (time.perf_counter() - began))))  # a busy machine needs more
    killed, seen, torn = 0, set(range(FIRST)), 0
    while killed < KILLS:
        answer = server(rng.randrange(longest_ms), 5_000, local.path)
        assert answer.startswith("killed"), answer
        killed += 1
        store = stores.open_store(local.path)
        assert store.repeated_ids == []
        now = {int(name.removeprefix("sample-")) for name in store.sample_ids}
        assert seen <= now  # what was committed stays
        seen = now
        if killed % 6 == 0:
            assert_rows(store, now)
        torn += stores.inspect(local.path)["orphan_bytes"] > 0
    assert len(seen) > FIRST, "no life was long enough for a commit"
    assert torn, "no kill hit a commit"
    count = max(seen) + 30
    assert server(-1, count, local.path) == "finished"
    store = stores.open_store(local.path)
    assert store.repeated_ids == []
    assert_rows(store, range(count))
    assert stores.verify(local.path) == []
    assert len({s.part for s in store.segments}) > 2


def test_two_processes_write_one_store_at_once(local, server):
    create(local.path, local.backend)
    assert server(-1, 40, local.path) == "finished"
    assert_rows(stores.open_store(local.path), range(40))
    assert stores.verify(local.path) == []
