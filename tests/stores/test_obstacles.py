"""What stands in a file's or a folder's place is named, whatever it is: no traceback, and never a wait without end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import stores

from .samples import assert_rows, create, records, write

ROOT = Path(__file__).parents[2]


def folder(path):
    path.mkdir()


def fifo(path):
    os.mkfifo(path)


def link_to_nothing(path):
    path.symlink_to("gone")


def loop(path):
    path.symlink_to(path.name)


def device(path):
    path.symlink_to("/dev/zero")


def unix_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may be a hundred characters long
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def plain_file(path):
    path.write_text("x")


OBSTACLES = {
    folder: "a folder", fifo: "a FIFO", link_to_nothing: "a link to nothing", loop: "Too many levels",
    device: "a device", unix_socket: "a socket",
}  # fmt: skip


@pytest.fixture
def store(local):
    create(local.path, local.backend)
    write(local.path, [[0, 1], [2]], flush_bytes=1)
    return Path(local.path)


def files_of(store):
    return sorted(p for p in store.rglob("*") if p.is_file())


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_whatever_is_in_the_place_of_a_file_is_named(store, obstacle):
    for file in files_of(store):
        aside = store.parent / "aside"
        file.rename(aside)
        obstacle(file)
        (problem,) = stores.verify(store)
        assert problem.path == str(file)
        assert OBSTACLES[obstacle] in problem.what
        with contextlib.suppress(stores.StoreError):  # either that or every value right
            assert_rows(stores.open_store(store), range(3))
        file.rmdir() if obstacle is folder else file.unlink()
        aside.rename(file)
    assert stores.verify(store) == []


@pytest.mark.parametrize("obstacle", [plain_file, fifo, link_to_nothing, loop, device])
@pytest.mark.parametrize("what", ["parts", "heads", "parts/*"])
def test_whatever_is_in_the_place_of_a_folder_is_named(store, obstacle, what):
    (path,) = store.glob(what)
    shutil.rmtree(path)
    obstacle(path)
    (problem,) = stores.verify(store)
    assert problem.path == str(path)
    assert problem.what.startswith(("is a", "can't be read"))
    with pytest.raises(stores.CorruptStore, match=path.name):
        stores.open_store(store)


UNREADABLE = """
import os, sys, stores
stores.verify(sys.argv[2])  # loads what it needs: another user may be unable to read root's Python
if os.geteuid() == 0:
    os.setuid(65534)
for look in (stores.verify, stores.open_store):
    try:
        print(*(str(problem) for problem in look(sys.argv[1])))
    except stores.StoreError as error:
        print(error)
"""


@pytest.fixture
def open_folder():
    """A folder that every user can enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_what_cannot_be_read_is_named(open_folder, backend):
    """Run as a user without rights, one forbidden path at a time."""
    store = open_folder / "store"
    create(store, backend)
    write(store, [[0, 1], [2]], flush_bytes=1)
    for path in (store, *store.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    whole = shutil.copytree(store, open_folder / "whole")
    (part,) = (store / "parts").iterdir()
    (head,) = (store / "heads").iterdir()
    for path in (store / "store.json", head, min(part.glob("rows-*")), store / "heads", store / "parts", part):
        mode = path.stat().st_mode
        path.chmod(0)
        command = [sys.executable, "-c", UNREADABLE, str(store), str(whole)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
        path.chmod(mode)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            assert str(path) in line, done.stdout
            assert "can't be read: Permission denied" in line
        assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("obstacle", [folder, fifo, link_to_nothing, loop, device])
def test_a_lock_that_is_no_plain_file_is_refused_and_left_alone(tmp_path, obstacle):
    obstacle(tmp_path / ".lock")
    with pytest.raises(stores.NotWritable, match=r"Can't lock .*\.lock"):
        stores.lock.exclusive(tmp_path, 0)
    assert os.path.lexists(tmp_path / ".lock")


def test_a_lock_that_is_a_link_does_not_empty_the_file_behind_it(tmp_path):
    """A store made by someone else may hold such a link."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(precious)
    with pytest.raises(stores.NotWritable, match="it is a link"):
        stores.lock.exclusive(tmp_path / "run", 0)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("what", ["parts", "heads"])
def test_a_writer_that_finds_no_folder_says_so(store, what):
    shutil.rmtree(store / what)
    (store / what).write_text("x")
    with pytest.raises(stores.WriteFailed, match="Can't make a part"):
        stores.PartWriter(store, 0, 1, 1e9)


def test_a_link_to_a_whole_file_or_folder_is_as_good_as_that(store, tmp_path):
    """Large stores are moved to other disks and linked."""
    for path in (next(store.glob("parts/*/arrays-00000*")), *files_of(store)[-1:], store / "parts"):
        moved = tmp_path / f"moved-{path.name}"
        path.rename(moved)
        path.symlink_to(moved)
    assert stores.verify(store) == []
    assert_rows(stores.open_store(store), range(3))
    with stores.PartWriter(store, 0, 1, 1e9) as writer:
        writer.append(records([3]))
    assert_rows(stores.open_store(store), range(4))
