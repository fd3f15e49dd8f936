"""One fault of each kind of benchmarks/storage_faults.py, on both backends: each is named and none is read as data."""

import random

import pytest

from benchmarks import storage_faults


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def whole(request, tmp_path_factory):
    """Three whole stores of one backend, and the content of the first."""
    folder = tmp_path_factory.mktemp(request.param)
    for salt, name in enumerate(("store", "other", "rerun")):
        storage_faults.make_store(folder / name, request.param, salt)
    return folder, storage_faults.content(folder / "store")


@pytest.mark.parametrize("kind", storage_faults.KINDS)
def test_a_fault_is_named_and_noticed(whole, tmp_path, kind):
    folder, expected = whole
    for seed in range(3):
        rng = random.Random(f"{kind} {seed}")
        named, noticed, spoiled = storage_faults.try_fault(kind, folder, tmp_path / "copy", expected, rng)
        assert named, spoiled
        assert noticed, spoiled


def test_a_whole_store_passes(whole):
    """What the faults are counted by does not cry wolf."""
    folder, expected = whole
    assert not storage_faults.is_named(folder / "store", [folder / "store"])
    assert storage_faults.content(folder / "store") == expected
