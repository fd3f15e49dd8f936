"""Hidden states of a store: which fields hold them, and those of one row. Knows no page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import HIDDEN, StateField, state_fields
from lit_experiments.reports.blocks import Range
from lit_experiments.serving.rows import Row
from stores import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
VECTORS = (HIDDEN, "hidden_size", "d_model", "width", "embedding", "features", "dim")
"""What the last dim of a field of states may be called: ours first, then what others call theirs."""
MOST_ENTRIES = 256  # of a row whose norms are drawn; more are taken at even distances


def fields_of_states(store: Store) -> list[StateField]:
    """Floats over [layer], sample or a ragged dim, and a dim of VECTORS; empty where the store has none."""
    names = [
        field.name
        for field in store.schema.fields
        if field.is_float and len(field.dims) in (2, 3) and field.dims[-1] in VECTORS and field.shape[-1] is not None
    ]
    return state_fields(store, names, None) if names else []


def layer_pick(store: Store, field: StateField, layer: str) -> dict[str, Any]:
    """How a layer of the field is selected in a read: {dim: index}; empty where it has no such dim."""
    declared = store.schema.field(field.name)
    others = [dim for dim in declared.dims[:-1] if dim != declared.stacking]
    return {others[0]: field.layers.index(layer)} if others else {}


def entries_of(row: Row, field: str) -> int:
    """How many entries a row has along a field's stacking dim: tokens, words, completions; 1 along samples."""
    return int(row.part.field(field).lengths()[0])


def row_states(row: Row, field: StateField, layer: str, entries: Ints) -> Floats:
    """[entry, hidden] states of one row at a layer, of some of its entries."""
    picked = layer_pick(row.part, field, layer)
    states: Floats = row.part.field(field.name).gather(entries, **picked).astype(np.float64)
    return states


@dataclass(frozen=True)
class Norms:
    """Lengths of a row's states, layer by layer, over `entries` of its `of` entries; none for layers of NaN alone."""

    field: StateField
    ranges: list[Range]
    entries: int
    of: int


def norms_by_layer(row: Row, field: StateField) -> Norms:
    """Smallest, largest and mean Euclidean norm of a row's states at every layer."""
    of = entries_of(row, field.name)
    entries = np.linspace(0, of - 1, min(of, MOST_ENTRIES)).round().astype(np.int64)
    ranges = []
    for layer in field.layers:
        norms = np.linalg.norm(row_states(row, field, layer, entries), axis=1)
        known = norms[np.isfinite(norms)]
        shown = (known.min(), known.max(), known.mean()) if len(known) else (np.nan,) * 3
        ranges.append(Range(*map(float, shown)))
    return Norms(field, ranges, len(entries), of)
