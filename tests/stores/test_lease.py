"""Leases on object storage, and what they keep a writer from that was only asleep: in memory, and on a server of its
own process, whose answers get lost and whose requests fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import stores
from benchmarks.object_server import FaultyProxy, ObjectServer, environment
from stores import lock
from stores.files import open_files
from stores.lock import Terms
from stores.remote_files import Changed, RemoteFiles

from .samples import assert_rows, create, records

ROOT = Path(__file__).parents[2]
_HOLDER = """
import sys, time
from stores import lock
held = lock.exclusive(sys.argv[1], 0, lock.Terms(float(sys.argv[2]), "killed", 1))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with ObjectServer() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(running.port).items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    """A store on object storage, without rows."""
    if request.param == "s3":
        request.getfixturevalue("server")
    path = f"{request.param}://bucket/{uuid.uuid4().hex}/store"
    create(path, "zarr")
    return path


def writer(path: str, launch: str, rank: int = 0) -> stores.PartWriter:
    return stores.PartWriter(path, rank, 1 << 30, 1e9, launch)


def shown(path: str) -> list[int]:
    """The rows of a store, which must be whole and come once each."""
    store = stores.open_store(path)
    assert store.repeated_ids == []
    assert stores.verify(path) == []
    return sorted(int(name.removeprefix("sample-")) for name in store.sample_ids)


def test_the_second_is_refused_with_the_holder_and_the_end_of_its_lease(url):
    with lock.exclusive(url, 0, Terms(100.0)) as held:
        assert held.held
        assert lock.is_held(url)
        with pytest.raises(stores.LockedError, match=rf"process {os.getpid()} on .*ends in (9\d|100|101) s") as refused:
            lock.exclusive(url, 0)
        assert refused.value.exit_code == 2
    assert not lock.is_held(url)
    lock.exclusive(url, 0).release()


def test_of_many_at_once_one_gets_it(url):
    winners, losers = [], []

    def ask() -> None:
        try:
            winners.append(lock.exclusive(url, 0, Terms(100.0)))
        except stores.LockedError as error:
            losers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(winners), len(losers)) == (1, 7)
    winners[0].release()


def test_a_holder_that_lives_keeps_its_lease_beyond_its_first_end(url):
    with lock.exclusive(url, 0, Terms(4.0)) as held:  # shorter, and a busy machine renews it too late
        with pytest.raises(stores.LockedError):
            lock.exclusive(url, 20, Terms(4.0))  # waits until the holder renews it
        assert held.held


def test_the_lease_of_a_killed_holder_ends(server):
    url = f"s3://bucket/{uuid.uuid4().hex}/store"
    create(url, "zarr")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url, "4"],
        stdout=subprocess.PIPE,
        env={**environment(server.port), "PYTHONPATH": str(ROOT)},
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGKILL)
    with pytest.raises(stores.LockedError, match=f"process {holder.pid}"):
        lock.exclusive(url, 0)
    with lock.exclusive(url, 20, Terms(30.0, "next", 1)):
        with pytest.raises(stores.LeaseLost):
            writer(url, "killed")  # the part that it had not made yet is closed too
        with writer(url, "next") as part:
            part.append(records([0]))
    assert shown(url) == [0]


def test_a_holder_that_wakes_up_after_its_lease_was_taken_over_commits_nothing(url):
    asleep = lock.exclusive(url, 0, Terms(2.0, "first", 2))
    sleeper, idle = writer(url, "first"), writer(url, "first", 1)
    sleeper.append(records([0]))
    sleeper.commit()
    sleeper.append(records([1]))
    asleep._ended.set()  # its thread does what it does in a process that is stopped: nothing
    with lock.exclusive(url, 20, Terms(30.0, "second", 1)):
        assert shown(url) == [0]
        with writer(url, "second") as part:
            part.append(records([1, 2]))
        for late in (sleeper, idle):
            late.append(records([3]))
            with pytest.raises(stores.LeaseLost, match="another collection took this run over"):
                late.commit()
        asleep.release()
        assert lock.is_held(url)
    assert shown(url) == [0, 1, 2]
    assert_rows(stores.open_store(url), range(3))


def test_a_commit_whose_head_was_closed_in_between_is_not_there(server, monkeypatch):
    """The data and the rows file are sent; while the head is on its way another collection takes the run over."""
    url, heads = "s3://between/store", []

    def fault(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("heads/first-r000.json"):
            heads.append(path)
            if len(heads) == 2:
                lock.exclusive(url, 0, Terms(30.0, "second", 1)).release()

    with FaultyProxy(server.port, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        server.make_bucket("between")
        create(url, "zarr")
        sleeper = writer(url, "first")
        sleeper.append(records([0]))
        with pytest.raises(stores.LeaseLost):
            sleeper.commit()
        assert any("rows-00000" in name for name, _ in open_files(url).walk("parts"))
        assert shown(url) == []
        assert stores.inspect(url)["orphan_bytes"] > 0


def test_no_two_processes_take_one_part_for_theirs(url):
    writer(url, "launch")
    with pytest.raises(stores.LeaseLost):
        writer(url, "launch")


@pytest.mark.parametrize("kind", ["500", "cut", "deaf"])
def test_puts_that_fail_for_a_while_are_made_once(server, monkeypatch, kind):
    """Every second put fails at first: by an error, halfway, or with its answer lost."""
    seen: dict[str, int] = {}

    def fault(method: str, path: str) -> str | None:
        if method != "PUT" or "first" not in path:
            return None
        seen[path] = seen.get(path, 0) + 1
        return kind if seen[path] % 2 else None

    with FaultyProxy(server.port, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        server.make_bucket(bucket := f"failing-{kind}")
        url = f"s3://{bucket}/store"
        create(url, "zarr")
        with lock.exclusive(url, 0, Terms(100.0, "first", 1)), writer(url, "first") as part:
            for index in range(3):
                part.append(records([index]))
                part.commit()
        assert shown(url) == [0, 1, 2]
        assert proxy.faults > 10


@pytest.mark.slow
def test_a_server_that_refuses_for_good_ends_the_writer_and_what_is_committed_stays(server, monkeypatch):
    refusing = threading.Event()

    def fault(method: str, path: str) -> str | None:
        return "500" if refusing.is_set() and method == "PUT" and "rows-" in path else None

    with FaultyProxy(server.port, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        server.make_bucket("refusing")
        url = "s3://refusing/store"
        create(url, "zarr")
        part = writer(url, "first")
        part.append(records([0]))
        part.commit()
        refusing.set()
        part.append(records([1]))
        with pytest.raises(stores.WriteFailed, match=r"1 rows this writer committed are whole\. Run again when"):
            part.commit()
        refusing.clear()
        assert shown(url) == [0]


def test_conditional_puts_know_their_own_second_attempt(url):
    files = open_files(url)
    assert isinstance(files, RemoteFiles)
    tag = files.put_new("x", b"1")
    assert files.put_new("x", b"1") == tag
    with pytest.raises(Changed):
        files.put_new("x", b"2")
    assert files.swap("x", b"2", tag) == files.swap("x", b"2", tag)
    with pytest.raises(Changed):
        files.swap("x", b"3", tag)
    with pytest.raises(Changed):
        files.swap("nothing here", b"3", tag)
