"""Stores of other versions of the format: earlier ones are read and not added to, later ones are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import stores
from stores.checksums import FileChecksums, file_checksums

from .manifests import make_version_1, rewrite_manifest
from .samples import FINGERPRINT, SCHEMA, assert_rows, create, records, write

EARLIER = Path(__file__).parent / "data" / "version_1.zip"


@pytest.fixture(params=["zarr", "hdf5"])
def earlier(request, tmp_path):
    """A store as version 1 of the writer left it: two parts, three commits, nine rows."""
    shutil.unpack_archive(EARLIER, tmp_path)
    return tmp_path / request.param


def files_of(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_store_of_version_1_is_read_verified_and_exported(earlier, tmp_path):
    assert_rows(stores.open_store(earlier), range(9))
    assert stores.verify(earlier) == []
    assert stores.inspect(earlier)["commits"] == 3
    assert len(stores.export(earlier, "jsonl", tmp_path / "rows.jsonl").read_text().splitlines()) == 9


def test_a_store_of_version_1_is_not_added_to(earlier):
    before = files_of(earlier)
    for attempt in (
        lambda: create(earlier, stores.open_store(earlier).backend),
        lambda: stores.PartWriter(earlier, 0, 1, 1e9),
    ):
        with pytest.raises(stores.OlderFormat, match="version 1, which can be read but not added to") as caught:
            attempt()
        assert caught.value.exit_code == 2
        assert "--restart" in str(caught.value)
    assert files_of(earlier) == before


def test_damage_to_a_store_of_version_1_is_still_found(earlier):
    for file, whole in files_of(earlier).items():
        damaged = bytearray(whole)
        damaged[len(damaged) // 2] ^= 8
        file.write_bytes(damaged)
        assert [p.path for p in stores.verify(earlier)] == [str(file)]
        file.write_bytes(whole)


def test_a_lost_commit_in_the_middle_of_a_store_of_version_1_is_found(earlier):
    (lost,) = earlier.glob("parts/*-r000/rows-00000-*")
    lost.unlink()
    assert [p.path for p in stores.verify(earlier)] == [str(lost)]
    with pytest.raises(stores.CorruptStore, match=f"{lost.name}.*missing, though rows-00001"):
        stores.open_store(earlier)


def test_parts_of_one_version_are_foreign_in_a_store_of_the_other(earlier, tmp_path):
    backend = stores.open_store(earlier).backend
    create(tmp_path / "now", backend)
    part = write(tmp_path / "now", [range(20, 22)]).part
    shutil.copytree(next(earlier.glob("parts/*-r000")), tmp_path / "now" / "parts" / "copied")
    (problem,) = stores.verify(tmp_path / "now")
    assert problem.path.endswith("parts/copied")
    shutil.copytree(tmp_path / "now" / "parts" / part, earlier / "parts" / part)
    (problem,) = stores.verify(earlier)
    assert problem.path.endswith(f"parts/{part}")
    assert "no merge" in problem.what


def test_checksums_by_larger_blocks_of_an_earlier_manifest_are_still_verified(local):
    """Manifests of version 1 say no block size: theirs was 16 MiB, with CRC-32C."""
    wide = stores.Field("x", ("token", "hidden"), (None, 1024), "float16", "1", "")
    stores.create_store(local.path, stores.Schema((wide,), ()), {}, {}, local.backend)
    values = np.random.default_rng(0).standard_normal((10_000, 1024)).astype(np.float16)  # 20 MB
    row = {"sample_id": "a", "sample_index": 0}
    with stores.PartWriter(local.path, 0, 1, 1e9) as writer:
        writer.append(stores.Records([row], {"x": values}, {"token": np.array([len(values)])}))

    def version_1(segment):
        old = {}
        for name, file in segment.manifest.files.items():
            rel = f"{segment.folder}/{name}"
            digests = file_checksums(segment.files, rel, file.size, 16 << 20, "crc32c")
            old[name] = FileChecksums(file.size, [int(digest, 16) for digest in digests])
        document = json.loads(replace(segment.manifest, files=old, function="crc32c").to_json())
        del document["checksum_block"]
        return {**document, "version": 1}

    rewrite_manifest(local.path, version_1)
    make_version_1(local.path)
    assert stores.verify(local.path) == []
    largest = max(Path(local.path).rglob("*"), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[17_000_000] ^= 1
    largest.write_bytes(data)
    (problem,) = stores.verify(local.path)
    assert "bytes 16777216-33554431" in problem.what


def test_a_manifest_of_a_newer_version_is_refused(local):
    create(local.path, local.backend)
    write(local.path, [range(3)])
    rewrite_manifest(local.path, lambda segment: {**json.loads(segment.manifest.to_json()), "version": 5})
    with pytest.raises(stores.NewerFormat, match="has format version 5; this program reads up to 4"):
        stores.open_store(local.path)


def test_two_stores_of_equal_settings_are_two(tmp_path):
    """Their rows are the same, their identities aren't."""
    for name in ("one", "two"):
        stores.create_store(tmp_path / name, SCHEMA, FINGERPRINT, {}, "zarr")
        with stores.PartWriter(tmp_path / name, 0, 1, 1e9) as writer:
            writer.append(records(range(3)))
    one, two = (json.loads((tmp_path / name / "store.json").read_text()) for name in ("one", "two"))
    assert one["id"] != two["id"]
    assert one["fingerprint"] == two["fingerprint"]
    assert stores.open_store(tmp_path / "one").table().equals(stores.open_store(tmp_path / "two").table())
