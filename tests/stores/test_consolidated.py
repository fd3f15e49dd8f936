"""Zarr and HDF5 exports read right without knowing this package: plain values, named dims, coordinates, no plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import stores
from stores.export import COMPRESSIONS

from .samples import FINGERPRINT, LAYERS, create, length, records, row

N = 13
SCHEMA = stores.Schema(
    (
        stores.Field("state", ("layer", "token", "hidden"), (2, None, 4), "float16", "1", "of every token"),
        stores.Field("start", ("sample", "hidden"), (None, 4), "bfloat16", "1", "at the start"),
        stores.Field("flags", ("sample", "draw"), (None, 3), "bool", "1", "flags"),
        stores.Field("small", ("token",), (None,), "uint8", "1", "bytes"),
        stores.Field("exact", ("sample",), (None,), "float64", "nats", "double", "record"),
    ),
    (stores.Column("text", "string", "any"), stores.Column("n", "int64", "or nothing")),
    {"layer": ["embed", "resid_post.0"], "draw": [1, 2, 4]},
)


@pytest.fixture(params=["float16 holds it", "exponents in use"])
def store(request, place):
    """A store of the common schema, its rows in two parts and mixed."""
    create(place.path, place.backend)
    order = np.random.default_rng(0).permutation(N)
    for rank, part in enumerate((order[:5], order[5:])):
        batch = records(part)
        batch.arrays["resid_post"] *= 1e6 if request.param == "exponents in use" else 1
        with stores.PartWriter(place.path, rank, 1, 1e9) as writer:
            writer.append(batch)
    return stores.open_store(place.path)


def varied(path, backend, texts=("a", "bé\u2028", "")):
    """A store of all kinds of dtypes, huge and tiny float16 vectors among them."""
    stores.create_store(path, SCHEMA, {}, {"text": "with \0"}, backend)
    rng = np.random.default_rng(0)
    n, lengths = len(texts), np.array([(2 * i) % 3 for i in range(len(texts))])
    total = int(lengths.sum())
    batch = stores.Records(
        [
            {"sample_id": f"s{i}", "sample_index": i, "text": text, "n": None if i == 1 else 2**62 + 1}
            for i, text in enumerate(texts)
        ],
        {
            "state": rng.standard_normal((2, total, 4)).astype(np.float32) * np.float32(1e7),
            "start": (rng.standard_normal((n, 4)) * 1e30).astype(np.float32),
            "flags": rng.random((n, 3)) > 0.5,
            "small": rng.integers(0, 256, total).astype(np.uint8),
            "exact": np.array([np.pi, np.inf, np.nan] * n)[:n],
        },
        {"token": lengths},
    )
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        writer.append(batch)
    return stores.open_store(path)


def opened(kind, out, group=None):
    """An export as xarray reads it, with nothing but its own drivers."""
    import xarray as xr

    if kind == "zarr":
        return xr.open_zarr(out, group=group)
    return xr.open_dataset(out, engine="h5netcdf", group=group)


@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_xarray_opens_an_export_with_dims_and_coordinates(store, place, tmp_path, kind):
    dataset = opened(kind, stores.export(place.path, kind, tmp_path / "out"))
    for name in ("resid_post", "start", "log_probs", "ids"):
        assert dataset[name].dims == store[name].field.dims
        np.testing.assert_array_equal(dataset[name].values, store[name].read())
    assert dataset["layer"].values.tolist() == ["embed", "resid_post.0", "resid_post.1"]
    assert dataset["sample"].values.tolist() == store.sample_ids
    np.testing.assert_array_equal(dataset["start"].sel(sample="sample-3"), store["start"].read(rows=[3])[:, 0])
    lengths = dataset["token_lengths"]
    assert lengths.attrs["sample_dimension"] == "token"
    assert lengths.values.tolist() == [length(i) for i in range(N)]
    assert dataset["token_offsets"].values.tolist() == [0, *np.cumsum([length(i) for i in range(N)])]
    assert json.loads(dataset.attrs["fingerprint"]) == FINGERPRINT
    rows = opened(kind, tmp_path / "out", "rows")
    assert {variable.dims for variable in rows.variables.values()} == {("sample",)}
    assert rows["text"].values.tolist() == [row(i)["text"] for i in range(N)]
    assert [json.loads(text) for text in rows["options"].values] == [row(i)["options"] for i in range(N)]
    assert rows["count"].values.tolist() == [row(i)["count"] for i in range(N)]
    assert rows["score.valid"].values.tolist() == [row(i)["score"] is not None for i in range(N)]


@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_every_dtype_reads_as_its_values(local, tmp_path, kind):
    store = varied(local.path, local.backend)
    dataset = opened(kind, stores.export(local.path, kind, tmp_path / "out"))
    for declared in SCHEMA.fields:
        np.testing.assert_array_equal(dataset[declared.name].values, store[declared.name].read(), declared.name)
    assert dataset["state"].dtype == np.float32  # the stored float16 numbers need their exponents
    assert dataset["flags"].dtype == np.bool_
    assert dataset["draw"].values.tolist() == [1, 2, 4]
    rows = opened(kind, tmp_path / "out", "rows")
    assert rows["n"].values[0] == 2**62 + 1
    assert rows["n.valid"].values.tolist() == [True, False, True]
    assert rows["text"].values.tolist() == ["a", "bé\u2028", ""]


PLAIN = """
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as file:
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    kinds = {str(item.dtype) for item in found.values()}
    assert all(item[()].shape == item.shape for item in found.values())
    assert [dim.label for dim in file["state"].dims] == ["layer", "token", "hidden"]
    print(sorted(kinds))
assert "hdf5plugin" not in sys.modules
"""


@pytest.mark.parametrize("compression", [None, "none"])
def test_hdf5_needs_no_plugin_and_no_unusual_type(tmp_path, compression):
    """No float16, no enumerations: netCDF and MATLAB know neither."""
    varied(tmp_path / "store", "zarr")
    out = stores.export(tmp_path / "store", "hdf5", tmp_path / "out.h5", compression=compression)
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PATH"}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(out)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(sorted(["object", ">f4", "float32", "float64", "int64", "int8", "uint8"]))


def test_all_compressions_hold_the_same(tmp_path):
    import h5py
    import hdf5plugin  # noqa: F401 (registers the Blosc filter)

    store = varied(tmp_path / "store", "hdf5")
    for compression in COMPRESSIONS:
        out = stores.export(tmp_path / "store", "hdf5", tmp_path / compression, compression=compression)
        with h5py.File(out) as file:
            np.testing.assert_array_equal(file["state"][()], store["state"].read())
            filters = file["state"].id.get_create_plist().get_nfilters()
            assert filters == {"gzip": 2, "none": 0, "blosc": 1}[compression]


def test_a_compression_that_is_not_there_is_refused(local, tmp_path):
    create(local.path, local.backend)
    for kind, compression in (("hdf5", "gzipp"), ("zarr", "gzip"), ("npy", "none")):
        with pytest.raises(stores.ExportError, match="takes no compression"):
            stores.export(local.path, kind, tmp_path / "out", compression=compression)


def test_a_nul_in_a_text_survives_or_is_one_message(tmp_path):
    varied(tmp_path / "store", "zarr", ("fine", "with \0 inside"))
    with pytest.raises(stores.ExportError, match=r"rows/text of sample 's1' has a NUL.*parquet"):
        stores.export(tmp_path / "store", "hdf5", tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    out = stores.export(tmp_path / "store", "zarr", tmp_path / "out.zarr")
    assert opened("zarr", out, "rows")["text"].values.tolist() == ["fine", "with \0 inside"]


@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_a_field_over_the_dim_of_its_name_is_its_coordinate(tmp_path, kind):
    schema = stores.Schema((stores.Field("token", ("token",), (None,), "int64", "1", "ids"),), ())
    stores.create_store(tmp_path / "store", schema, {}, {}, "zarr")
    with stores.PartWriter(tmp_path / "store", 0, 1, 1e9) as writer:
        rows = [{"sample_id": "a", "sample_index": 0}]
        writer.append(stores.Records(rows, {"token": np.array([5, 6])}, {"token": np.array([2])}))
    dataset = opened(kind, stores.export(tmp_path / "store", kind, tmp_path / "out"))
    assert dataset["token"].values.tolist() == [5, 6]
    assert dataset["token"].dims == ("token",)


@pytest.mark.parametrize("name", ["layer", "rows", "token_offsets", "sample", "token_boundary"])
@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_names_that_would_meet_are_refused(tmp_path, name, kind):
    fields = (
        stores.Field(name, ("sample", "layer"), (None, 2), "float32", "1", ""),
        stores.Field("ids", ("token",), (None,), "int64", "1", ""),
    )
    stores.create_store(tmp_path / "store", stores.Schema(fields, ()), {}, {}, "zarr")
    with pytest.raises(stores.ExportError, match=f"Field {name!r} can't be exported"):
        stores.export(tmp_path / "store", kind, tmp_path / "out")


def test_to_xarray(store):
    dataset = store.to_xarray()
    assert dataset["layer"].values.tolist() == ["embed", "resid_post.0", "resid_post.1"]
    whole = store["resid_post"].read()
    np.testing.assert_array_equal(dataset["resid_post"].values, whole)
    np.testing.assert_array_equal(dataset["resid_post"].sel(layer="resid_post.0")[3:9, ::-2], whole[1, 3:9, ::-2])
    by_row = dataset["resid_post"].isel(layer=0).groupby("token_sample").mean()
    assert by_row["token_sample"].values.tolist() == [i for i in range(N) if length(i)]
    picked = dataset["start"].isel(sample=[5, 2])
    np.testing.assert_array_equal(picked, store["start"].read()[:, [5, 2]])
    assert picked["count"].values.tolist() == [10, 4]
    assert picked["options"].values[1] == row(2)["options"]
    some = store.select([3, 1]).to_xarray(["start"])
    assert list(some.data_vars) == ["start"]
    assert some["sample"].values.tolist() == ["sample-3", "sample-1"]


def test_to_xarray_reads_only_what_is_asked_for(tmp_path):
    varied(tmp_path, "zarr")
    for shard in tmp_path.rglob("state/c.*"):
        shard.unlink()
    dataset = stores.open_store(tmp_path).to_xarray()
    assert dataset["exact"].values[0] == np.pi
    with pytest.raises(stores.CorruptStore):
        dataset["state"].load()


def test_to_xarray_keeps_columns_whose_names_are_taken_and_missing_integers(tmp_path):
    schema = stores.Schema(
        (stores.Field("score", ("sample", "layer"), (None, 2), "float32", "1", ""),),
        (stores.Column("score", "float64", ""), stores.Column("layer", "int64", "")),
    )
    stores.create_store(tmp_path, schema, {}, {}, "zarr")
    with stores.PartWriter(tmp_path, 0, 1, 1e9) as writer:
        rows = [{"sample_id": i, "sample_index": n, "score": None, "layer": 2**60} for n, i in enumerate("ab")]
        rows[1]["layer"] = None
        writer.append(stores.Records(rows, {"score": np.ones((2, 2), np.float32)}))
    dataset = stores.open_store(tmp_path).to_xarray()
    assert dataset["score"].shape == (2, 2)
    assert dataset["layer_column"].values.tolist() == [2**60, None]
    assert np.isnan(dataset["score_column"].values).all()


def test_to_xarray_without_xarray_is_one_message(tmp_path, monkeypatch):
    store = varied(tmp_path, "zarr")
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(stores.MissingLibrary, match="pip install xarray"):
        store.to_xarray()


def test_a_field_iterates_as_numpy_does(store):
    for name in ("resid_post", "start", "log_probs", "ids"):
        whole, parts = store[name].read(), list(store[name])
        assert len(parts) == len(store[name]) == len(whole)
        np.testing.assert_array_equal(np.array(parts), whole)
    assert len(list(store["resid_post"])) == LAYERS
    assert list(store.select(slice(0, 0))["log_probs"]) == []
