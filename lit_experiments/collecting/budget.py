"""How much a run will write, and whether the disk has the room. Pure arithmetic on the schema."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from stores import Field, Schema

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError

_ROW_BYTES = 256  # a generous guess for a row's metadata columns, beside texts


def payload_bytes(schema: Schema, samples: Sequence[Sample]) -> int:
    """Bytes of all fields before compression, exponents included. Ragged lengths come from `Sample.lengths`."""
    return sum(_field_bytes(field, samples) for field in schema.fields)


def _field_bytes(field: Field, samples: Sequence[Sample]) -> int:
    stacking = field.dims[field.shape.index(None)]
    stacked = len(samples) if stacking == "sample" else sum(s.lengths[stacking] for s in samples)
    fixed = [n for n in field.shape if n is not None]
    size = 2 if field.dtype == "bfloat16" else np.dtype(field.dtype).itemsize
    total = stacked * math.prod(fixed) * size
    if field.dtype == "float16":
        total += stacked * math.prod(fixed[:-1])
    return total


def free_bytes(path: Path) -> int:
    """Free bytes on the disk that will hold `path`, which need not exist yet."""
    existing = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
    return shutil.disk_usage(existing).free


def require_room(run: Path, schema: Schema, samples: Sequence[Sample]) -> None:
    """Refuses a run whose rows may not fit.

    Raises:
        UserError: the uncompressed size is larger than the free space.
    """
    needed = payload_bytes(schema, samples) + _ROW_BYTES * len(samples)
    free = free_bytes(run)
    if needed > free:
        raise UserError(
            f"Not enough room on the disk of {run.absolute()}: {len(samples):,} samples need up to {readable(needed)}, "
            f"{readable(free)} are free.\nNext: choose another disk with --run DIR, or fewer samples with --limit N; "
            f"--dry_run measures the compressed size."
        )


def readable(count: float) -> str:
    """A byte count for people: '1.3 GB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"
