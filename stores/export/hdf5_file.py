"""One HDF5 file with everything, in types that every HDF5 reader knows: plain h5py, MATLAB, netCDF.

16-bit floats become float32 and flags int8 (with the attribute `dtype` = "bool", which xarray reads), compression is
gzip unless asked otherwise, and dims are netCDF-4 dimension scales. Chunks are compressed in threads and handed over
ready.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..chunks import BIT_SHUFFLE, LEVEL, blosc_frame, encode_chunks
from ..errors import ExportError
from ..files import LocalFiles
from ..hdf5_file import writing
from ..reader import Store
from ..segment_files import FieldPlan
from .variables import Variable, attributes, field_plans, variables

_GZIP_LEVEL = 4
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:10d}"  # netCDF-4's name for such a scale
_OLDEST = ("earliest", "v110")


def export_hdf5(store: Store, out: Path, compression: str) -> None:
    """One HDF5 file: fields and coordinates at its top, columns in the group `rows`, text as variable-length UTF-8.

    Raises ExportError for a text with a NUL, which HDF5 can't hold.
    """
    small = [_storable(variable, store) for variable in variables(store)]
    plans = [_with_bytes(plan) for plan in field_plans(store, keep_half=False)]
    with LocalFiles(out.parent).create(out.name) as block_file:
        with writing(block_file, _OLDEST) as (file, steady):
            file.attrs.update(attributes(store))
            _put_scales(file, small, plans)
            for plan in plans:
                _put_field(file, plan, compression, steady.check)
            for variable in small:
                if variable.name not in file:
                    _describe(_put_small(file, variable, compression), variable.dims, variable.attributes, file)
        block_file.finish()


def _storable(variable: Variable, store: Store) -> Variable:
    """Flags as int8; texts checked."""
    values = variable.values
    if isinstance(values, list):
        for sample, text in zip(store.sample_ids if "sample" in variable.dims else values, values, strict=True):
            if "\0" in text:
                raise ExportError(
                    f"{variable.name} of sample {sample!r} has a NUL character, which HDF5 texts can't hold. "
                    "Export to zarr, parquet or jsonl."
                )
        return variable
    if values.dtype == np.bool_:
        return replace(variable, values=values.astype(np.int8), attributes={**variable.attributes, "dtype": "bool"})
    return variable


def _with_bytes(plan: FieldPlan) -> FieldPlan:
    """The plan with flags as int8."""
    if plan.layout.dtype != np.bool_:
        return plan
    return replace(
        plan,
        layout=replace(plan.layout, dtype=np.dtype(np.int8)),
        fetch=lambda lead, start, stop: plan.fetch(lead, start, stop).astype(np.int8),
        attributes={**plan.attributes, "dtype": "bool"},
    )


def _put_scales(file: Any, small: list[Variable], plans: list[FieldPlan]) -> None:
    """A dimension scale for each dim: its coordinates, or a stand-in without values."""
    sizes = {dim: n for plan in plans for dim, n in zip(plan.dims, plan.layout.shape, strict=True)}
    sizes |= {dim: len(variable.values) for variable in small for dim in variable.dims}
    coordinates = {v.name: v for v in small if v.dims == (v.name,)}
    scales = {plan.name for plan in plans if plan.dims == (plan.name,)}  # a field over the dim of its name is its scale
    for dim, size in sizes.items():
        if dim in coordinates:
            dataset = _put_small(file, coordinates[dim], "none")
            dataset.make_scale(dim)
            dataset.attrs.update(coordinates[dim].attributes)
        elif dim not in scales:
            file.create_dataset(dim, (size,), ">f4").make_scale(_NO_VARIABLE.format(size))


def _put_small(file: Any, variable: Variable, compression: str) -> Any:
    import h5py

    if isinstance(variable.values, list):
        return file.create_dataset(variable.name, data=variable.values, dtype=h5py.string_dtype())
    packed = {} if compression == "none" or not len(variable.values) else _filters(compression)
    return file.create_dataset(variable.name, data=variable.values, **packed)


def _put_field(file: Any, plan: FieldPlan, compression: str, check: Callable[[], None]) -> None:
    layout = plan.layout
    options: dict[str, Any] = {}
    if layout.n_chunks:
        options = {"chunks": layout.chunk_shape, "maxshape": layout.whole_chunks, **_filters(compression)}
    dataset = file.create_dataset(plan.name, shape=layout.shape, dtype=layout.dtype, fillvalue=plan.fill, **options)
    number = 0
    for frames in encode_chunks(layout, plan.fetch, plan.fill, _CODECS[compression]):
        for frame, _ in frames:
            dataset.id.write_direct_chunk(layout.origin(number), frame, 0)
            check()
            number += 1
    if plan.dims == (plan.name,):
        dataset.make_scale(plan.name)
        dataset.attrs.update(plan.attributes)
    else:
        _describe(dataset, plan.dims, plan.attributes, file)


def _describe(dataset: Any, dims: tuple[str, ...], what: dict[str, Any], file: Any) -> None:
    """Attach the dims' scales, and say what the numbers are."""
    for axis, dim in enumerate(dims):
        dataset.dims[axis].label = dim
        dataset.dims[axis].attach_scale(file[dim])
    dataset.attrs.update(what)


def _filters(compression: str) -> dict[str, Any]:
    if compression == "gzip":
        return {"shuffle": True, "compression": "gzip", "compression_opts": _GZIP_LEVEL}
    if compression == "blosc":
        import hdf5plugin

        return dict(hdf5plugin.Blosc(cname="lz4", clevel=LEVEL, shuffle=BIT_SHUFFLE))
    return {}


def _gzip_frame(values: NDArray[Any]) -> bytes:
    """As HDF5's shuffle and deflate filters make it: first bytes of all numbers, then their second bytes, ..."""
    by_place = values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T
    return zlib.compress(by_place.tobytes(), _GZIP_LEVEL)


def _plain_frame(values: NDArray[Any]) -> bytes:
    return values.tobytes()


_CODECS = {"gzip": _gzip_frame, "none": _plain_frame, "blosc": blosc_frame}
