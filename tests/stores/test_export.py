"""Exports hold the same rows and numbers, as the tools they are for read them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stores
from stores.export import FORMATS

from .samples import FINGERPRINT, LAYERS, create, length, records, row, values, write

N = 13


@pytest.fixture(params=["float16 holds it", "exponents in use"])
def scale(request):
    return 1.0 if request.param == "float16 holds it" else 1e6


@pytest.fixture
def store(place, scale):
    create(place.path, place.backend)
    order = np.random.default_rng(0).permutation(N)
    for rank, part in enumerate((order[:5], order[5:])):
        batch = records(part)
        batch.arrays["resid_post"] *= scale
        with stores.PartWriter(place.path, rank, 1, 1e9) as writer:
            writer.append(batch)
    return stores.open_store(place.path)


def whole(store, name):
    return store[name].read()


def offsets():
    return np.concatenate([[0], np.cumsum([length(i) for i in range(N)])])


def test_jsonl(store, place, tmp_path):
    out = stores.export(place.path, "jsonl", tmp_path / "out" / "rows.jsonl")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["sample_id"] for line in lines] == store.sample_ids
    at = offsets()
    for index, line in enumerate(lines):
        for name, value in row(index).items():
            assert line[name] == value
        states = np.array(line["resid_post"], np.float32).reshape(LAYERS, -1, 8)
        np.testing.assert_array_equal(states, whole(store, "resid_post")[:, at[index] : at[index + 1]])
        assert line["log_probs"][0][3] is None  # NaN


def test_jsonl_reshaped_with_a_header_and_compressed(place, store, tmp_path):
    def record(sample):
        return {
            "id": sample["sample_id"],
            "first": sample["start"][0],
            "n": np.int64(3),
            "odd": [np.inf, -np.inf, np.nan, np.int64(3)],
        }

    out = stores.export(place.path, "jsonl", tmp_path / "rows.jsonl.zst", record=record, header={"seed": 1})
    with pa.CompressedInputStream(pa.OSFile(str(out)), "zstd") as stream:
        lines = [json.loads(line) for line in stream.read().splitlines()]
    assert lines[0] == {"seed": 1}
    assert len(lines) == N + 1
    assert lines[4]["id"] == "sample-3"
    assert lines[4]["odd"] == ["Infinity", "-Infinity", None, 3]
    np.testing.assert_array_equal(np.array(lines[4]["first"], np.float32), values(3)["start"][0])


def test_npy(store, place, tmp_path, scale):
    out = stores.export(place.path, "npy", tmp_path / "npy")
    description = json.loads((out / "metadata.json").read_text())
    assert description["fingerprint"] == FINGERPRINT
    assert description["coords"]["layer"][1] == "resid_post.0"
    for layer in range(LAYERS):
        exported = np.load(out / "resid_post" / f"layer_{layer:02d}.npy")
        assert exported.dtype == (np.float16 if scale == 1 else np.float32)
        np.testing.assert_array_equal(exported.astype(np.float32), whole(store, "resid_post")[layer])
        np.testing.assert_array_equal(np.load(out / "start" / f"layer_{layer:02d}.npy"), whole(store, "start")[layer])
    np.testing.assert_array_equal(np.load(out / "log_probs.npy"), whole(store, "log_probs"))
    np.testing.assert_array_equal(np.load(out / "offsets_token.npy"), offsets())
    np.testing.assert_array_equal(np.load(out / "lengths_token.npy"), np.diff(offsets()))
    assert pq.read_table(out / "rows.parquet").column("sample_id").to_pylist() == store.sample_ids
    for field in description["fields"].values():
        for name in field["tensors"]:
            assert list(np.load(out / name).shape) == field["shape"]


@pytest.mark.parametrize("pad", ["left", "right"])
def test_npy_padded(store, place, tmp_path, pad):
    out = stores.export(place.path, "npy", tmp_path / "npy", pad=pad)
    mask, lengths = np.load(out / "mask_token.npy"), np.diff(offsets())
    assert mask.shape == (N, lengths.max())
    np.testing.assert_array_equal(mask.sum(1), lengths)
    np.testing.assert_array_equal(np.load(out / "lengths_token.npy"), lengths)
    assert mask[lengths > 0, -1 if pad == "left" else 0].all()
    for layer in range(LAYERS):
        padded = np.load(out / "resid_post" / f"layer_{layer:02d}.npy")
        np.testing.assert_array_equal(padded[mask].astype(np.float32), whole(store, "resid_post")[layer])
        assert not padded[~mask].any()
        np.testing.assert_array_equal(np.load(out / "start" / f"layer_{layer:02d}.npy"), whole(store, "start")[layer])
    np.testing.assert_array_equal(np.load(out / "ids.npy")[mask], whole(store, "ids"))
    np.testing.assert_array_equal(np.load(out / "log_probs.npy"), whole(store, "log_probs"))
    assert json.loads((out / "metadata.json").read_text())["padding"] == pad


def test_npy_with_one_array_per_row(store, place, tmp_path):
    out = stores.export(place.path, "npy", tmp_path / "npy", pad="none")
    assert not (out / "mask_token.npy").exists()
    at = offsets()
    for row_number in range(N):
        entries = slice(at[row_number], at[row_number + 1])
        np.testing.assert_array_equal(np.load(out / "ids" / f"row_{row_number:06d}.npy"), whole(store, "ids")[entries])
        for layer in range(LAYERS):
            exported = np.load(out / "resid_post" / f"layer_{layer:02d}" / f"row_{row_number:06d}.npy")
            np.testing.assert_array_equal(exported.astype(np.float32), whole(store, "resid_post")[layer, entries])


def test_safetensors(store, place, tmp_path):
    from safetensors.numpy import load_file

    out = stores.export(place.path, "safetensors", tmp_path / "st")
    tensors = load_file(out / "tensors.safetensors")
    for layer in range(LAYERS):
        tensor = tensors[f"resid_post.layer_{layer:02d}"].astype(np.float32)
        np.testing.assert_array_equal(tensor, whole(store, "resid_post")[layer])
    np.testing.assert_array_equal(tensors["ids"], whole(store, "ids"))
    np.testing.assert_array_equal(tensors["offsets_token"], offsets())


def test_parquet_opens_as_a_dataset(store, place, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    out = stores.export(place.path, "parquet", tmp_path / "pq")
    files = [str(f) for f in sorted(out.glob("*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    at = offsets()
    for index, loaded_row in enumerate(loaded):
        assert loaded_row["text"] == row(index)["text"]
        expected = whole(store, "resid_post")[:, at[index] : at[index + 1]]
        np.testing.assert_array_equal(np.array(loaded_row["resid_post"], np.float32).reshape(expected.shape), expected)
        np.testing.assert_array_equal(np.array(loaded_row["log_probs"], np.float32), values(index)["log_probs"])
        assert loaded_row["ids"] == values(index)["ids"].tolist()


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_store_can_be_exported(local, tmp_path, format):
    create(local.path, local.backend)
    assert stores.export(local.path, format, tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused(local, tmp_path):
    create(local.path, local.backend)
    write(local.path, [[1]])
    (tmp_path / "there").mkdir()
    for arguments, message in (
        (("jsnol", tmp_path / "x"), "did you mean 'jsonl'"),
        (("npy", tmp_path / "there"), "exists"),
        (("npy", tmp_path / "x", dict), "only jsonl"),
        (("parquet", tmp_path / "x", None, None, None, "left"), "only npy"),
        (("npy", tmp_path / "x", None, None, None, "middle"), "left, right, none"),
    ):
        with pytest.raises(stores.ExportError, match=message):
            stores.export(local.path, *arguments)
    assert not (tmp_path / "x").exists()


def test_an_interrupted_export_leaves_nothing_under_its_name(local, tmp_path):
    create(local.path, local.backend)
    write(local.path, [range(3)])

    def fail(sample):
        raise KeyError(sample["sample_id"])

    with pytest.raises(KeyError):
        stores.export(local.path, "jsonl", tmp_path / "out.jsonl", record=fail)
    assert not (tmp_path / "out.jsonl").exists()
    assert stores.export(local.path, "jsonl", tmp_path / "out.jsonl").exists()
