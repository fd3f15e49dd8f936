"""A full disk: the error is WriteFailed, what was committed stays whole, and with room again the rest follows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stores

from .samples import assert_rows, create, records, write

ROOT = Path(__file__).parents[2]
# A limit on the size of any file stands in for the quota; SIGXFSZ is ignored by Python, so writes fail with EFBIG.
LIMITED = """
import resource, sys, stores
from tests.stores.samples import create, write, records
path, backend, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
create(path, backend)
write(path, [range(3), range(3, 6)], flush_bytes=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
writer = stores.PartWriter(path, 0, 1, 1e9)
try:
    with writer:
        writer.append(records(range(6, 400)))
except stores.WriteFailed as error:
    print(type(error).__name__, error.exit_code, error)
try:
    writer.append(records([500]))
except stores.StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [4096, 20_000])
def test_a_write_that_fails_is_told_and_committed_rows_survive(local, limit):
    command = [sys.executable, "-c", LIMITED, local.path, local.backend, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("WriteFailed 1 Writing to "), done.stdout + done.stderr
    assert "continues from them" in lines[0]
    assert "closed" in lines[1]
    assert_rows(stores.open_store(local.path), range(6))
    assert stores.verify(local.path) == []
    write(local.path, [range(6, 400)])
    assert_rows(stores.open_store(local.path), range(400))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this machine doesn't let root mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_a_full_disk_loses_nothing_that_was_committed(small_disk, backend):
    path = small_disk / "store"
    create(path, backend)
    writer = stores.PartWriter(path, 0, 1, 1e9)

    def fill():
        for start in range(0, 100_000, 40):
            writer.append(records(range(start, start + 40)))

    with pytest.raises(stores.WriteFailed, match="continues from them"):
        fill()
    assert writer.rows_committed > 0
    store = stores.open_store(path)
    assert_rows(store, range(writer.rows_committed))
    assert stores.verify(path) == []
