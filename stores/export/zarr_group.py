"""One Zarr v3 group with everything, which xarray opens with named dims and coordinates.

Fields are written by the code that writes a segment, so chunks, compression and checksums are the store's own.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import zarr_backend
from ..files import LocalFiles
from ..reader import Store
from .variables import Variable, attributes, field_plans, variables

_TEXTS_PER_CHUNK = 1 << 16


def export_zarr(store: Store, out: Path) -> None:
    """A Zarr v3 group with consolidated metadata: fields and coordinates at its top, columns in the group `rows`."""
    import zarr

    small = variables(store)
    zarr_backend.write_segment(LocalFiles(out.parent), out.name, field_plans(store, keep_half=True), attributes(store))
    group = zarr.open_group(out, mode="r+", use_consolidated=False)
    for variable in small:
        _put(group, variable)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")  # asked for, and known
        zarr.consolidate_metadata(group.store)


def _put(group: Any, variable: Variable) -> None:
    name, values = variable.name, variable.values
    if isinstance(values, list):
        chunk = min(max(1, len(values)), _TEXTS_PER_CHUNK)
        array = group.create_array(
            name, shape=(len(values),), dtype="str", chunks=(chunk,), dimension_names=variable.dims
        )
        array[:] = np.array(values, dtype=np.dtypes.StringDType())
    else:
        array = group.create_array(name, data=values, dimension_names=variable.dims)
    array.attrs.update(variable.attributes)
