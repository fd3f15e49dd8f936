"""A segment is plain Zarr v3 or plain HDF5: their own libraries read the same numbers, and Zarr's checks them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stores

from .samples import create, values, write

N = 25


@pytest.fixture
def segment(request, tmp_path):
    create(tmp_path, request.param)
    write(tmp_path, [range(N)])
    return next(tmp_path.glob("parts/*/arrays-*"))


def expected():
    samples = [values(i) for i in range(N)]
    return {
        "resid_post": np.concatenate([v["resid_post"] for v in samples], axis=1).astype(np.float16),
        "start": np.stack([v["start"] for v in samples], axis=1),
        "log_probs": np.stack([v["log_probs"] for v in samples]),
        "ids": np.concatenate([v["ids"] for v in samples]),
    }


@pytest.mark.parametrize("segment", ["zarr"], indirect=True)
def test_zarr_python_reads_a_segment(segment):
    import zarr

    group = zarr.open_group(segment, mode="r")
    assert set(group.array_keys()) == {*expected(), "resid_post.exponent"}
    for name, array in expected().items():
        np.testing.assert_array_equal(group[name][:], array)
    assert group["resid_post"].metadata.dimension_names == ("layer", "token", "hidden")
    assert np.isnan(group["resid_post"].fill_value)
    assert not group["resid_post.exponent"][:].any()
    np.testing.assert_array_equal(group["resid_post"][1, 3:9], expected()["resid_post"][1, 3:9])


@pytest.mark.parametrize("segment", ["zarr"], indirect=True)
def test_zarrs_reads_a_segment(segment):
    script = """
import sys, zarr, zarrs, numpy as np
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
np.savez(sys.argv[2], **{name: array[:] for name, array in zarr.open_group(sys.argv[1], mode="r").arrays()})
"""
    out = segment.parent / "read.npz"
    subprocess.run([sys.executable, "-c", script, str(segment), str(out)], check=True)
    with np.load(out) as loaded:
        for name, array in expected().items():
            np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize("segment", ["zarr"], indirect=True)
def test_zarr_python_refuses_a_flipped_byte(segment):
    import zarr

    file = next((segment / "start").glob("c.*"))
    data = bytearray(file.read_bytes())
    data[30] ^= 4
    file.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(segment / "start", mode="r")[:]


@pytest.mark.parametrize("segment", ["hdf5"], indirect=True)
def test_h5py_reads_a_segment(segment):
    import h5py
    import hdf5plugin  # noqa: F401 (registers the Blosc filter)

    with h5py.File(segment) as file:
        for name, array in expected().items():
            np.testing.assert_array_equal(file[name][()], array)
        assert [d.label for d in file["resid_post"].dims] == ["layer", "token", "hidden"]
        assert file["resid_post"].attrs["units"] == "1"


@pytest.mark.parametrize("segment", ["hdf5"], indirect=True)
def test_the_commit_holds_the_checksum_of_each_chunk_s_stored_bytes(segment):
    import h5py

    from stores.checksums import crc32c

    manifest = stores.open_store(segment.parents[2]).segments[0].manifest
    with h5py.File(segment) as file:
        _, frame = file["start"].id.read_direct_chunk((2, 0, 0))
    assert crc32c(frame) == manifest.chunk_checksums("start")[2]


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_few_files(tmp_path, backend):
    """No file per sample or per chunk: two files per field at most, plus the group's own."""
    create(tmp_path, backend)
    write(tmp_path, [range(200)])
    names = [f for f in Path(tmp_path).glob("parts/*/**/*") if f.is_file()]
    assert len(names) <= 2 * 5 + 2
    assert os.path.getsize(tmp_path / "store.json") > 0  # noqa: PTH202
    assert stores.inspect(tmp_path)["rows"] == 200
