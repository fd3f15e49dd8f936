"""How much a run will write, and whether the disk has the room. Pure arithmetic on the schema."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from lit_experiments.collecting.samples import Totals
from lit_experiments.errors import UserError
from lit_experiments.units import byte_count
from stores import Field, Schema
from stores.files import open_files

_ROW_BYTES = 256  # a generous guess for a row's metadata columns, next to texts


def payload_bytes(schema: Schema, counted: Totals) -> int:
    """Bytes of all fields before compression, exponents included. Ragged lengths come from `Sample.lengths`."""
    return sum(_field_bytes(field, counted) for field in schema.fields)


def _field_bytes(field: Field, counted: Totals) -> int:
    if not counted.samples:
        return 0
    stacked = counted.lengths[field.stacking] if field.ragged else counted.samples
    vectors = stacked * math.prod(field.leading) * math.prod(field.trailing[:-1])
    exponents = vectors if field.exponent_field() is not None else 0
    return vectors * math.prod(field.trailing[-1:]) * field.stored_dtype.itemsize + exponents


def free_bytes(path: Path) -> int | None:
    """Free bytes on the disk that will hold `path`, which need not exist yet; None for what lies on object storage."""
    if not open_files(path).is_local:
        return None
    existing = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free


def require_room(run: Path, parts: Sequence[tuple[Schema, Totals]]) -> None:
    """Refuses a run whose rows may not fit. parts: what it is to write, and of how many samples.

    Raises:
        UserError: the uncompressed size is larger than the free space.
    """
    needed = sum(payload_bytes(schema, counted) + _ROW_BYTES * counted.samples for schema, counted in parts)
    samples = max(counted.samples for _, counted in parts)
    free = free_bytes(run / "store")
    if free is not None and needed > free:
        raise UserError(
            f"Not enough room on the disk of {run.absolute()}: {samples:,} samples need up to "
            f"{byte_count(needed)}, {byte_count(free)} are free.\nNext: choose another disk with --run DIR, or fewer "
            f"samples with --limit N; --dry_run measures the compressed size."
        )
