"""Two collections never write one store; the processes of one collection do."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

import stores
from stores import lock

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from stores import lock
held = getattr(lock, sys.argv[2])(sys.argv[1], 0)
if sys.argv[3:]:
    held.downgrade()
print("held", flush=True)
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
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_second_launch_is_refused_with_the_holders_name(tmp_path, holder):
    process = holder("exclusive")
    with pytest.raises(stores.LockedError, match=f"process {process.pid} on") as caught:
        lock.exclusive(tmp_path, 0.1)
    assert caught.value.exit_code == 2
    with pytest.raises(stores.LockedError):
        lock.shared(tmp_path, 0)


def test_the_running_collections_processes_share_and_nobody_else_starts(tmp_path, holder):
    launcher = holder("exclusive", "downgrade")
    with lock.shared(tmp_path, 0) as held:
        assert held.held
        with pytest.raises(stores.LockedError, match=str(launcher.pid)):
            lock.exclusive(tmp_path, 0)
    launcher.kill()
    launcher.wait()
    lock.exclusive(tmp_path, 5).release()


def test_a_rank_that_outlives_its_launcher_still_keeps_others_out(tmp_path, holder):
    launcher = holder("exclusive", "downgrade")
    rank = holder("shared")
    launcher.kill()
    launcher.wait()
    with pytest.raises(stores.LockedError):
        lock.exclusive(tmp_path, 0)
    rank.kill()
    rank.wait()
    with lock.exclusive(tmp_path, 5):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    process = holder("exclusive")
    process.kill()
    process.wait()
    lock.exclusive(tmp_path, 5).release()


def test_waiting_gets_the_lock_when_it_is_let_go(tmp_path, holder):
    process = holder("exclusive")
    process.stdin.write("go\n")
    process.stdin.flush()
    with lock.exclusive(tmp_path, 30) as held:
        assert held.held


def test_releasing_twice_does_no_harm(tmp_path):
    held = lock.exclusive(tmp_path, 0)
    held.release()
    held.release()
    assert not held.held


def test_object_stores_have_no_lock():
    assert not lock.exclusive("memory://x/y", 0).held


def test_nobody_can_slip_in_while_the_lock_is_turned_into_a_shared_one(tmp_path):
    """Turning a flock from exclusive to shared lets go of it for a moment; until then and after, the gate is shut."""
    with lock.exclusive(tmp_path, 0) as held:
        for step in (lambda: None, held.downgrade):
            step()
            with (tmp_path / lock.GATE_NAME).open() as gate, pytest.raises(BlockingIOError):
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
