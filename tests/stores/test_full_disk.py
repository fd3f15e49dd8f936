"""A full disk: the error is WriteFailed, what was committed stays whole, and with room again the rest follows."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stores
from stores.checksums import BLOCK_BYTES

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


def test_a_disk_that_fills_in_the_middle_of_a_large_file(local, monkeypatch):
    """The failure comes to HDF5 and to the shard's stream while blocks are already on the disk."""
    wide = stores.Field("x", ("token", "hidden"), (None, 1024), "float16", "1", "")
    stores.create_store(local.path, stores.Schema((wide,), ()), {}, {}, local.backend)

    def batch(index):
        values = np.random.default_rng(index).standard_normal((3 * BLOCK_BYTES // 2048, 1024)).astype(np.float16)
        row = {"sample_id": str(index), "sample_index": index}
        return stores.Records([row], {"x": values}, {"token": np.array([len(values)])})

    writer = stores.PartWriter(local.path, 0, 1, 1e9)
    writer.append(batch(0))
    pwrite = os.pwrite

    def full(fd, data, offset):
        if offset >= BLOCK_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(fd, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(stores.WriteFailed, match="No space left on device"):
            writer.append(batch(1))
    assert stores.open_store(local.path).sample_ids == ["0"]
    assert stores.verify(local.path) == []
    with stores.PartWriter(local.path, 0, 1, 1e9) as again:
        again.append(batch(1))
    np.testing.assert_array_equal(stores.open_store(local.path)["x"].read(rows=[1]), batch(1).arrays["x"])
