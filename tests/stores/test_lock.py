"""Two collections never write one store; the lock lasts as long as any process of a collection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stores
from stores import lock

ROOT = Path(__file__).parents[2]
HOLD = """
import subprocess, sys
from stores import lock
held = lock.exclusive(sys.argv[1], 0)
child = [sys.executable, "-c", "import time; time.sleep(60)"]
process = subprocess.Popen(child, pass_fds=held.descriptors) if sys.argv[2:] else None
print(process.pid if process else "held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until asked to leave."""
    started = []

    def hold(*how):
        command = [sys.executable, "-c", HOLD, str(tmp_path), *how]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        process.reply = process.stdout.readline().strip()
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_second_launch_is_refused_with_the_holders_name(tmp_path, holder):
    process = holder()
    with pytest.raises(stores.LockedError, match=f"process {process.pid} on") as caught:
        lock.exclusive(tmp_path, 0.1)
    assert caught.value.exit_code == 2


def test_a_process_that_outlives_its_launcher_still_keeps_others_out(tmp_path, holder):
    launcher = holder("with a child")
    launcher.kill()
    launcher.wait()
    with pytest.raises(stores.LockedError, match=str(launcher.pid)):
        lock.exclusive(tmp_path, 0)
    os.kill(int(launcher.reply), signal.SIGKILL)
    with lock.exclusive(tmp_path, 5) as held:
        assert held.held


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    process = holder()
    process.kill()
    process.wait()
    lock.exclusive(tmp_path, 5).release()


def test_waiting_gets_the_lock_when_it_is_let_go(tmp_path, holder):
    process = holder()
    process.stdin.write("go\n")
    process.stdin.flush()
    with lock.exclusive(tmp_path, 30) as held:
        assert held.held


def test_releasing_twice_does_no_harm(tmp_path):
    held = lock.exclusive(tmp_path, 0)
    held.release()
    held.release()
    assert not held.held
