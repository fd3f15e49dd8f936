"""Some of the rows of a batch's records. Knows a schema's dims, no study."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from stores import Field, Records, Schema


def rows_of(records: Records, sample_ids: Collection[str], schema: Schema) -> Records:
    """The rows of these sample ids, with their arrays."""
    keep = np.array([row["sample_id"] in sample_ids for row in records.rows], bool)
    lengths = {dim: np.asarray(values) for dim, values in records.lengths.items()}

    def chosen(field: Field) -> np.ndarray:
        """[entry along the field's stacking dim] whether it belongs to a kept row."""
        return np.repeat(keep, lengths[field.stacking]) if field.ragged else keep

    arrays, exponents = {}, {}
    for field in schema.fields:
        arrays[field.name] = np.compress(chosen(field), records.arrays[field.name], axis=field.axis)
        if field.name in records.exponents:
            # An exponent belongs to a whole vector: the array without its last dim.
            exponents[field.name] = np.compress(chosen(field), records.exponents[field.name], axis=field.axis)
    rows = [row for row, kept in zip(records.rows, keep, strict=True) if kept]
    return Records(rows, arrays, {dim: values[keep] for dim, values in lengths.items()}, exponents)
