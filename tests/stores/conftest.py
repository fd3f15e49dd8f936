"""Where a store may lie: every test that takes `place` runs on both backends, and on an object store for Zarr."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import NamedTuple

import pytest


class Place(NamedTuple):
    backend: str
    path: str


@pytest.fixture(params=["zarr", "hdf5", "zarr-memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Backend and path of a store to be made."""
    if request.param == "zarr-memory":
        return Place("zarr", f"memory://{uuid.uuid4().hex}/store")
    return Place(request.param, str(tmp_path / "store"))


@pytest.fixture(params=["zarr", "hdf5"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same on a local disk, for tests that touch files."""
    return Place(request.param, str(tmp_path / "store"))
