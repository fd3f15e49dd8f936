"""Stores that were filled apart, made one: the same content as a store that was filled in one go."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest

import stores
from stores import certify
from tests.stores.conftest import Place
from tests.stores.samples import FINGERPRINT, SCHEMA, assert_rows, create, records, write


def filled(path: str | Path, backend: str, *batches: range | list[int]) -> str:
    """A store with a commit for each batch."""
    create(path, backend)
    write(path, batches, flush_bytes=1)
    return str(path)


def changed(path: str | Path, backend: str, index: int) -> str:
    """A store with one sample, one value of which is not what it should be."""
    create(path, backend)
    batch = records([index])
    batch.arrays["start"] = batch.arrays["start"].copy()
    batch.arrays["start"][1, 0, 2] += 1
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        writer.append(batch)
    return str(path)


def test_two_shards_give_what_one_store_would_have(place: Place, tmp_path: Path) -> None:
    one = filled(f"{place.path}-a", place.backend, range(0, 20, 2), range(40, 45))
    two = filled(f"{place.path}-b", place.backend, range(1, 20, 2))
    whole = filled(tmp_path / "whole", place.backend, range(20), range(40, 45))
    merged = stores.merge([one, two], tmp_path / "out" / "store")
    store = stores.open_store(tmp_path / "out" / "store")
    assert_rows(store, [*range(20), *range(40, 45)])
    assert stores.verify(tmp_path / "out" / "store") == []
    assert certify(store).root == certify(stores.open_store(whole)).root
    assert (merged.rows, merged.shared, merged.rewritten) == (25, 0, 0)
    assert (merged.linked, merged.copied) == ((0, 3) if place.path.startswith("memory") else (3, 0))
    assert [*(tmp_path / "out").iterdir()] == [tmp_path / "out" / "store"]


def test_arrays_are_links_and_outlive_the_store_they_came_from(local: Place, tmp_path: Path) -> None:
    one, two = filled(local.path, local.backend, range(5)), filled(f"{local.path}2", local.backend, range(5, 9))
    arrays = {p.stat().st_ino for p in Path(one).rglob("*") if "arrays-" in str(p) and p.is_file()}
    stores.merge([one, two], tmp_path / "out")
    assert arrays < {p.stat().st_ino for p in (tmp_path / "out").rglob("*") if p.is_file()}
    shutil.rmtree(one)
    assert stores.verify(tmp_path / "out") == []
    assert_rows(stores.open_store(tmp_path / "out"), range(9))


def test_where_links_cannot_serve_arrays_are_copied(
    local: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = filled(local.path, local.backend, range(5))

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    link = os.link
    monkeypatch.setattr(os, "link", lambda a, b: link(a, b) if "store.json" in str(b) else refuse())
    assert stores.merge([one], tmp_path / "out").copied == 1
    assert stores.verify(tmp_path / "out") == []
    damaged = next(p for p in Path(one).rglob("*") if "arrays-" in str(p) and p.is_file() and p.stat().st_size > 500)
    data = bytearray(damaged.read_bytes())
    data[40] ^= 1
    damaged.write_bytes(bytes(data))
    with pytest.raises(stores.CorruptStore, match="not what was written"):
        stores.merge([one], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_of_commits_with_shared_samples_only_the_new_rows_are_written_again(local: Place, tmp_path: Path) -> None:
    one = filled(local.path, local.backend, range(6))
    two = filled(f"{local.path}2", local.backend, range(6), range(4, 10), range(20, 22))
    merged = stores.merge([one, two], tmp_path / "out")
    assert_rows(stores.open_store(tmp_path / "out"), [*range(10), 20, 21])
    assert stores.verify(tmp_path / "out") == []  # which reports repeated samples
    assert (merged.rows, merged.shared, merged.linked, merged.rewritten) == (12, 6, 2, 1)


def test_rows_written_again_keep_every_bit(tmp_path: Path) -> None:
    """Mantissas with exponents of their own, NaN, and bits of bfloat16."""
    fields = (
        stores.Field("x", ("sample", "hidden"), (None, 4), "float16", "1", "", "record"),
        stores.Field("b", ("token", "pair"), (None, 2), "bfloat16", "1", "", "record"),
    )
    schema = stores.Schema(fields, (stores.Column("note", "json", ""),))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4)).astype(np.float16)
    x[2, 1] = np.nan
    x[3] = [6e-8, 1.0, 2.0, 3.0]
    exponents = np.array([0, 3, 0, -7, 120, 0], np.int8)
    bits = rng.integers(0, 1 << 16, (12, 2)).astype(np.uint16)
    rows = [{"sample_id": f"s{i}", "sample_index": i, "note": {"é": [i, None]}} for i in range(6)]
    lengths = np.array([2, 0, 4, 1, 5, 0])

    def make(path: Path, chosen: list[int]) -> Path:
        stores.create_store(path, schema, {}, {}, "zarr")
        tokens = np.concatenate([np.arange(12)[np.repeat(np.arange(6), lengths) == i] for i in chosen])
        arrays, batch = {"x": x[chosen], "b": bits[tokens]}, [rows[i] for i in chosen]
        with stores.PartWriter(path, 0, 1, 1e9) as writer:
            writer.append(stores.Records(batch, arrays, {"token": lengths[chosen]}, {"x": exponents[chosen]}))
        return path

    whole = make(tmp_path / "whole", [*range(6)])
    assert stores.merge([make(tmp_path / "a", [1]), whole], tmp_path / "out").rewritten == 1
    merged = stores.open_store(tmp_path / "out")
    np.testing.assert_array_equal(merged["x"].read(raw=True).view(np.uint16), x.view(np.uint16))
    np.testing.assert_array_equal(merged["x"].exponents(), exponents)
    np.testing.assert_array_equal(merged["b"].read(raw=True), bits)
    assert certify(merged).root == certify(stores.open_store(whole)).root


def test_a_sample_that_differs_is_named_with_its_place(local: Place, tmp_path: Path) -> None:
    one, two = filled(local.path, local.backend, range(9)), changed(f"{local.path}2", local.backend, 7)
    with pytest.raises(stores.MergeConflict) as caught:
        stores.merge([one, two], tmp_path / "out")
    for part in ("'sample-7'", "'start'", "resid_post.0"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_one_sample_under_two_indexes_is_refused(tmp_path: Path) -> None:
    one, two = filled(tmp_path / "a", "zarr", [1]), str(tmp_path / "b")
    create(two, "zarr")
    batch = records([2])
    batch.rows[0]["sample_id"] = "sample-1"
    with stores.PartWriter(two, 0, 1, 1e9) as writer:
        writer.append(batch)
    with pytest.raises(stores.MergeConflict, match="sample-1"):
        stores.merge([one, two], tmp_path / "out")


def test_only_stores_of_one_collection_go_together(tmp_path: Path) -> None:
    one = filled(tmp_path / "a", "zarr", range(3))
    stores.create_store(tmp_path / "seed", SCHEMA, FINGERPRINT | {"seed": 2}, {}, "zarr")
    fewer = stores.Schema(SCHEMA.fields, SCHEMA.columns[1:], SCHEMA.coords)
    stores.create_store(tmp_path / "schema", fewer, FINGERPRINT, {}, "zarr")
    stores.create_store(tmp_path / "hdf5", SCHEMA, FINGERPRINT, {}, "hdf5")
    for name, error, word in (
        ("seed", stores.FingerprintMismatch, "seed: 1 there, 2 here"),
        ("schema", stores.SchemaMismatch, "columns"),
        ("hdf5", stores.BackendMismatch, "--backend zarr"),
    ):
        with pytest.raises(error, match=word):
            stores.merge([one, str(tmp_path / name)], tmp_path / "out")
    filled(tmp_path / "out", "zarr", [1])
    with pytest.raises(stores.NotWritable, match="exists already"):
        stores.merge([one], tmp_path / "out")
    assert_rows(stores.open_store(tmp_path / "out"), [1])


def test_parts_of_one_name_stay_apart_and_a_merged_store_merges_again(tmp_path: Path) -> None:
    for name, batches in {"a": [[0], [1]], "b": [[2], [3]]}.items():
        create(tmp_path / name, "zarr")
        with stores.PartWriter(tmp_path / name, 0, 1, 1e9, launch="one") as writer:
            for batch in batches:
                writer.append(records(batch))
    stores.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    more = filled(tmp_path / uuid.uuid4().hex, "zarr", range(4, 6))
    stores.merge([more, tmp_path / "ab"], tmp_path / "all")
    write(tmp_path / "all", [[7]])  # and goes on
    assert_rows(stores.open_store(tmp_path / "all"), [0, 1, 2, 3, 4, 5, 7])
    assert stores.verify(tmp_path / "all") == []
