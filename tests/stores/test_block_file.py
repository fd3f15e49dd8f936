"""A file written in blocks past the page cache is the same bytes as one written plainly, whatever comes in whatever
order, and its checksums are those of what lies on disk.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random

import pytest

from stores import block_file
from stores.block_file import BlockFile, Spare
from stores.checksums import BLOCK_BYTES, file_checksums
from stores.files import LocalFiles

SMALL = 8192  # a block of two pages: O_DIRECT takes it


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(block_file, "BLOCK_BYTES", SMALL)


def stale(count=4):
    """Spare memory that is full of what it held before."""
    spare = Spare()
    taken = [spare.take() for _ in range(count)]
    for memory in taken:
        memory[:] = b"\xaa" * len(memory)
        spare.give(memory)
    return spare


def direct_writes(monkeypatch):
    """Where and how many bytes are written past the page cache."""
    seen, pwrite = [], os.pwrite

    def noting(fd, data, offset):
        done = pwrite(fd, data, offset)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            seen.append((offset, done))
        return done

    monkeypatch.setattr(os, "pwrite", noting)
    return seen


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_writes_gives_the_bytes_of_a_plain_file(tmp_path, small_blocks, seed):
    rng, model = random.Random(seed), bytearray()
    with BlockFile(tmp_path / "file", stale()) as file:
        for _ in range(rng.randrange(40)):
            in_order = rng.random() < 0.7
            offset = len(model) if in_order else rng.randrange(len(model) + 2 * SMALL)
            data = rng.randbytes(rng.choice([1, 50, 4096, SMALL, 3 * SMALL, rng.randrange(4 * SMALL)]))
            file.write_at(offset, data)
            model.extend(bytes(max(0, offset + len(data) - len(model))))
            model[offset : offset + len(data)] = data
            at = rng.randrange(len(model) + 1)
            assert file.read_at(at, 5000) == model[at : at + 5000]
        if rng.random() < 0.5:
            size = rng.randrange(len(model) + 3 * SMALL)
            file.truncate(size)
            model = model[:size] + bytes(max(0, size - len(model)))
        written = file.finish()
    assert (tmp_path / "file").read_bytes() == model
    assert written.size == len(model)
    assert written.blocks == file_checksums(LocalFiles(tmp_path), "file", written.size, SMALL)


def needs_direct_writes(folder):
    """Skips where the file system refuses such a write to anybody."""
    try:
        fd = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        os.pwrite(fd, mmap.mmap(-1, 4096), 0)
    except OSError:
        pytest.skip("this file system doesn't write past the page cache")
    os.close(fd)


def test_whole_blocks_of_a_stream_go_past_the_page_cache_and_the_rest_plainly(tmp_path, monkeypatch):
    needs_direct_writes(tmp_path)
    seen = direct_writes(monkeypatch)
    data = random.Random(0).randbytes(2 * BLOCK_BYTES + 1000)
    files = LocalFiles(tmp_path)
    files.write("file", [data[at : at + 100_000] for at in range(0, len(data), 100_000)])
    assert (tmp_path / "file").read_bytes() == data
    assert seen == [(0, BLOCK_BYTES), (BLOCK_BYTES, BLOCK_BYTES)]


@pytest.mark.parametrize("refusal", ["when asked", "when writing"])
def test_a_file_system_that_cannot_gets_plain_writes(tmp_path, small_blocks, monkeypatch, refusal):
    pwrite = os.pwrite

    def refusing(fd, data, offset):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return pwrite(fd, data, offset)

    def no_flag(fd, command, value=0):
        if value & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return control(fd, command, value)

    control = fcntl.fcntl
    monkeypatch.setattr(os, "pwrite", refusing)
    if refusal == "when asked":
        monkeypatch.setattr(fcntl, "fcntl", no_flag)
    data = random.Random(0).randbytes(5 * SMALL + 7)
    written = LocalFiles(tmp_path).write("file", [data])
    assert (tmp_path / "file").read_bytes() == data
    assert written.blocks == file_checksums(LocalFiles(tmp_path), "file", len(data), SMALL)


def test_a_disk_that_takes_a_part_of_a_block_gets_the_rest(tmp_path, small_blocks, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3000], offset))
    data = random.Random(0).randbytes(3 * SMALL)
    LocalFiles(tmp_path).write("file", [data])
    assert (tmp_path / "file").read_bytes() == data


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        LocalFiles(tmp_path).write("file", [b"new"])
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_memory_is_used_again_from_file_to_file(tmp_path, small_blocks):
    spare = Spare()
    for number in range(3):
        with BlockFile(tmp_path / str(number), spare) as file:
            file.write_at(0, bytes(10 * SMALL))
            file.finish()
    assert len(spare._free) == 1


def test_a_block_with_gaps_that_are_filled_later_is_written_once(tmp_path, small_blocks, monkeypatch):
    """As HDF5 does with its first block: the chunks come first, the metadata between them when the file is closed."""
    seen, pwrite = [], os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: seen.append(offset) or pwrite(fd, data, offset))
    with BlockFile(tmp_path / "file", stale()) as file:
        file.write_at(100, bytes(3 * SMALL))
        assert seen == [SMALL, 2 * SMALL]
        file.write_at(0, bytes(100))
        file.write_at(50, bytes(10))
        file.finish()
    assert seen == [SMALL, 2 * SMALL, 0, 3 * SMALL]
