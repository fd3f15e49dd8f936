"""A store as an xarray Dataset: named dims, coordinates, values read when they are asked for. Needs xarray."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingLibrary, SelectionError
from .field_view import FieldView
from .schema import SAMPLE

if TYPE_CHECKING:
    import xarray

    from .reader import Store


def to_dataset(store: Store, fields: list[str] | None) -> xarray.Dataset:
    """See `Store.to_xarray`."""
    try:
        import xarray as xr
    except ImportError as error:
        raise MissingLibrary("to_xarray needs xarray, which isn't installed: `pip install xarray`.") from error
    names = fields if fields is not None else [f.name for f in store.schema.fields]
    views = [store.field(name) for name in names]
    dims = {dim for view in views for dim in view.field.dims}
    for view in views:
        if view.field.name in dims and view.field.dims != (view.field.name,):
            clash = [f"{name!r}" for name in names if name != view.field.name]
            raise SelectionError(
                f"Field {view.field.name!r} has the name of a dim, which xarray doesn't allow; leave it out: "
                f"to_xarray(fields=[{', '.join(clash)}])."
            )
    data = {view.field.name: (view.field.dims, _lazy(view), _attributes(view)) for view in views}
    return xr.Dataset(data, _coordinates(store, views, dims))


def _attributes(view: FieldView) -> dict[str, str]:
    return {"units": view.field.units, "description": view.field.description}


def _coordinates(store: Store, views: list[FieldView], dims: set[str]) -> dict[Hashable, Any]:
    """Ids and columns along `sample`, names along other dims, and along a ragged dim the row that each entry is of.

    A column whose name is taken is named `<name>_column`.
    """
    coordinates: dict[Hashable, Any] = {SAMPLE: (SAMPLE, np.array(store.sample_ids, dtype=object))}
    coordinates |= {dim: (dim, np.array(labels)) for dim, labels in store.schema.coords.items() if dim in dims}
    for view in views:
        if view.field.ragged:
            dim, lengths = view.field.stacking, view.lengths()
            coordinates[f"{dim}_{SAMPLE}"] = (dim, np.repeat(np.arange(len(lengths)), lengths))
            coordinates[f"{dim}_lengths"] = (SAMPLE, lengths)
    names = {view.field.name for view in views}
    coordinates = {name: value for name, value in coordinates.items() if name not in names}
    table = store.table()
    for name in table.column_names:
        free = name if name not in {*coordinates, *names, *dims} else f"{name}_column"
        coordinates[free] = (SAMPLE, _values(table.column(name), store.schema.column_type(name)))
    return coordinates


def _values(column: Any, kind: str) -> NDArray[Any]:
    """Numbers and flags as such where all are there, and floats with NaN; anything else as objects, None if missing."""
    values = column.to_pylist()
    if kind == "float64":
        return np.array([np.nan if value is None else value for value in values], np.float64)
    if kind in ("int64", "bool") and not column.null_count:
        return np.array(values, kind)
    objects = np.empty(len(values), dtype=object)
    objects[:] = [json.loads(v) if kind == "json" and v is not None else v for v in values]
    return objects


def _lazy(view: FieldView) -> Any:
    """The field as an array that xarray indexes before it reads."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Lazy(BackendArray):
        shape, dtype = view.shape, view.dtype

        def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
            support = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, support, view.__getitem__)

    return indexing.LazilyIndexedArray(Lazy())
