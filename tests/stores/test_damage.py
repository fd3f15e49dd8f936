"""Damage is found, named, and never read as data: flipped bytes anywhere, missing and truncated files, torn commits."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import stores

from .samples import assert_rows, create, records, write


def all_files(path):
    return sorted(p for p in Path(path).rglob("*") if p.is_file())


def places(size, rng):
    """Byte positions to flip: all of a short file, both ends and a sample of a long one."""
    if size < 64:
        return range(size)
    return sorted({*range(4), *range(size - 4, size), *rng.sample(range(size), 16)})


def test_a_flipped_byte_anywhere_is_found_and_its_file_named(local):
    create(local.path, local.backend)
    write(local.path, [range(6), range(6, 9)], flush_bytes=1)
    assert stores.verify(local.path) == []
    rng = random.Random(5)
    flips = 0
    for file in all_files(local.path):
        whole = file.read_bytes()
        for place in places(len(whole), rng):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << rng.randrange(8)
            file.write_bytes(damaged)
            problems = stores.verify(local.path)
            assert [p.path for p in problems] == [str(file)], f"byte {place} of {file}: {problems}"
            flips += 1
        file.write_bytes(whole)
    assert flips > 100
    assert stores.verify(local.path) == []


def test_verify_names_field_and_chunk_and_reading_raises(local):
    create(local.path, local.backend)
    write(local.path, [range(20)])
    segment = stores.open_store(local.path).segments[0]
    declared = stores.open_store(local.path).schema.field("start")
    located = segment.locate(declared)
    file = Path(local.path) / located.rel
    data = bytearray(file.read_bytes())
    data[int(located.offsets[1]) + 20] ^= 0xFF
    file.write_bytes(data)
    (problem,) = stores.verify(local.path)
    assert "field 'start', chunk at layer='resid_post.0', sample=0" in problem.what
    view = stores.open_store(local.path)["start"]
    with pytest.raises(stores.CorruptStore, match=r"Checksum error in .*'start', chunk at \(1, 0, 0\)"):
        view.read()
    assert view.read(layer=0).shape == (20, 8)  # what is whole can still be read


def test_a_swapped_chunk_is_found(local):
    """Whole files of another commit, each right in itself, are not this commit's."""
    create(local.path, local.backend)
    write(local.path, [[1, 7], [13, 19]], flush_bytes=1)  # the same lengths twice
    part = next((Path(local.path) / "parts").iterdir())
    first, second = sorted(part.glob("arrays-*"))
    aside = part / "aside"
    first.rename(aside), second.rename(first), aside.rename(second)
    assert len(stores.verify(local.path)) >= 2


def test_a_missing_array_file_is_an_error_and_never_zeros(local):
    create(local.path, local.backend)
    write(local.path, [range(5)])
    arrays = [f for f in all_files(local.path) if f.suffix == ".h5" or ("start" in f.parts and f.name != "zarr.json")]
    assert len(arrays) == 1
    arrays[0].unlink()
    with pytest.raises(stores.CorruptStore, match=r"missing|No such file"):
        stores.open_store(local.path)["start"].read()
    assert "missing" in stores.verify(local.path)[0].what


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -20])
def test_truncated_arrays_are_an_error(local, keep):
    create(local.path, local.backend)
    write(local.path, [range(5)])
    data = [f for f in all_files(local.path) if "arrays-" in str(f) and f.suffix != ".json"]
    file = max(data, key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes()[:keep])
    assert [p.path for p in stores.verify(local.path)] == [str(file)]
    with pytest.raises(stores.CorruptStore):
        [view.read() for view in map(stores.open_store(local.path).field, ["resid_post", "start", "log_probs", "ids"])]


@pytest.mark.parametrize("keep", [0, 8, -1])
def test_a_truncated_rows_file_is_an_error_that_names_it(place, keep):
    create(place.path, place.backend)
    write(place.path, [range(5), range(5, 7)], flush_bytes=1)
    segment = stores.open_store(place.path).segments[0]
    data = segment.files.read(segment.rows_rel)[:keep]
    segment.files.publish(segment.rows_rel, data)
    with pytest.raises(stores.CorruptStore, match=r"rows-00000-.*\.parquet is damaged"):
        stores.open_store(place.path)
    assert [Path(p.path).name for p in stores.verify(place.path)] == [segment.rows_name]


def test_a_segment_whose_writer_was_killed_before_the_commit_is_as_if_it_had_not_happened(local):
    create(local.path, local.backend)
    before = write(local.path, [range(3)], flush_bytes=1)
    part = Path(local.path) / "parts" / before.part
    (arrays,) = part.glob("arrays-00000.*")
    (shutil.copytree if arrays.is_dir() else shutil.copy)(arrays, part / f"arrays-00001{arrays.suffix}")
    assert_rows(stores.open_store(local.path), range(3))
    assert stores.verify(local.path) == []
    summary = stores.inspect(local.path)
    assert summary["orphan_bytes"] > 0
    assert all("arrays-00001" in name for name in summary["orphans"])
    write(local.path, [range(3, 8)])
    assert_rows(stores.open_store(local.path), range(8))


def test_a_lost_commit_in_the_middle_is_found(local):
    create(local.path, local.backend)
    write(local.path, [[0], [1], [2]], flush_bytes=1)
    lost = next(Path(local.path).glob("parts/*/rows-00001-*"))
    lost.unlink()
    (problem,) = stores.verify(local.path)
    assert problem.path == str(lost)
    assert "missing" in problem.what


def test_a_temporary_rows_file_is_no_commit(local):
    create(local.path, local.backend)
    part = Path(local.path) / "parts" / write(local.path, [range(3)]).part
    rows = next(part.glob("rows-*"))
    shutil.copy(rows, part / f".{rows.name}.77.tmp")
    assert_rows(stores.open_store(local.path), range(3))
    assert stores.inspect(local.path)["orphans"] == [f"parts/{part.name}/.{rows.name}.77.tmp"]


def test_bytes_after_a_missing_index_entry_are_not_guessed(tmp_path):
    """An empty entry in a Zarr shard's index means "fill value" to Zarr; here it is an error."""
    create(tmp_path, "zarr")
    write(tmp_path, [range(5)])
    file = next(tmp_path.glob("parts/*/arrays-00000.zarr/start/c.*"))
    data = file.read_bytes()
    index = np.frombuffer(data[-4 - 16 * 3 : -4], "<u8").copy()
    index[:2] = 2**64 - 1
    from stores.checksums import crc32c

    table = index.tobytes()
    file.write_bytes(data[: -4 - 16 * 3] + table + crc32c(table).to_bytes(4, "little"))
    with pytest.raises(stores.CorruptStore, match="lacks a chunk"):
        stores.open_store(tmp_path)["start"].read()


def test_writing_goes_on_after_damage_elsewhere(local):
    """A writer needs store.json only: damage to one part must not stop the next launch from writing."""
    create(local.path, local.backend)
    write(local.path, [range(3)])
    batch = records([5])
    with stores.PartWriter(local.path, 1, 1, 1e9) as writer:
        writer.append(batch)
    assert_rows(stores.open_store(local.path), [0, 1, 2, 5])
