"""Asking an existing run for more: which settings may grow, and what of a row is then still to be computed.

Owns the union of what a store holds and what a command asks for, and the division of records among a store's pieces.
Knows no study.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import stores
from lit_experiments.collecting.committed import committed_pieces
from lit_experiments.collecting.samples import Sample, totals
from stores import Records, Schema, Store
from stores.files import open_files
from stores.pieces import shares
from stores.schema import RESERVED_COLUMNS
from stores.store_file import Header, ensure_store, read_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lit_experiments.collecting.collector import Collector
    from lit_experiments.collecting.samples import Totals

Value = TypeVar("Value")


@dataclass(frozen=True)
class PieceRecords:
    """Rows of one piece of a store that was extended."""

    piece: int
    records: Records


def united(stored: Sequence[Value], requested: Sequence[Value]) -> list[Value]:
    """What a store holds and what is asked for, as a store of both lists it: in the order that is asked for, if that
    names everything and more; else what is stored first."""
    rest = [value for value in requested if value not in stored]
    return list(requested) if rest and set(stored) <= set(requested) else [*stored, *rest]


def followed(stored: Sequence[Value], requested: Sequence[Value]) -> list[Value]:
    """As `united`, where the order numbers the rows: what is stored keeps its place."""
    return [*stored, *(value for value in requested if value not in stored)]


def widen(collector: Collector, store: Path | Store | Header) -> list[str]:
    """Lets a collector ask for what its store holds as well, where its study allows that (see `Collector.growing`).

    Returns:
        Lines that say what comes to the store.

    Raises:
        stores.StoreError: a damaged store.
    """
    if isinstance(store, Path):
        if not (collector.growing and stores.is_store(store)):
            return []
        store = read_header(open_files(store))
    settings, stored = collector.settings(), store.fingerprint.get("settings")
    if not isinstance(stored, dict):
        return []
    growing = [name for name in sorted(collector.growing) if name in stored and stored[name] != settings.get(name)]
    if not growing or _differences(collector, store):
        return []
    collector.widen({name: stored[name] for name in growing})
    now = collector.settings()
    return [_growth(name, stored[name], now[name]) for name in growing if len(now[name]) > len(stored[name])]


def _growth(name: str, stored: Sequence[Any], now: Sequence[Any]) -> str:
    new = [str(value) for value in now if value not in stored]
    return f"{name}: the run has {', '.join(map(str, stored))}; added: {', '.join(new)}."


def open_to_extend(collector: Collector, store: Path, provenance: dict[str, Any], backend: str) -> Store:
    """The store that is there, extended by what the collector asks for besides; for who holds its lock.

    Raises:
        stores.StoreError: a store of another collection, or one that cannot be extended like that.
    """
    require_kin(collector, store, provenance, backend)
    stores.extend_store(store, collector.store_schema(), collector.fingerprint(), provenance)
    return stores.open_store(store)


def require_kin(collector: Collector, store: Path, provenance: dict[str, Any], backend: str) -> None:
    """Raises stores.StoreError unless a store is of this collection, apart from what may grow."""
    held = read_header(open_files(store))
    ensure_store(store, held.schema, _as_stored(collector, held), provenance, backend)


def _differences(collector: Collector, store: Store | Header) -> list[tuple[str, Any, Any]]:
    return stores.fingerprint_difference(store.fingerprint, _as_stored(collector, store))


def _as_stored(collector: Collector, store: Store | Header) -> dict[str, Any]:
    """The collector's fingerprint with the store's values of the settings that may grow."""
    fingerprint = deepcopy(collector.fingerprint())
    stored = store.fingerprint.get("settings")
    for name in collector.growing:
        if isinstance(stored, dict) and name in stored and name in fingerprint["settings"]:
            fingerprint["settings"][name] = stored[name]
    return fingerprint


def missing(store: Store, samples: Sequence[Sample], selected: NDArray[np.bool_]) -> list[tuple[Schema, Totals]]:
    """What is still to be written: by piece, its schema and the samples that it lacks."""
    done = committed_pieces(store, samples)
    return [(store.pieces[number], totals(samples, selected & ~rows)) for number, rows in done.items()]


def divided(records: Records, whole: Schema, pieces: Sequence[Schema], number: int) -> Records:
    """A piece's part of whole rows."""
    piece = pieces[number]
    held = {
        field.name: next(s for s in shares(whole, field.name, pieces) if s.piece == number) for field in piece.fields
    }
    return Records(
        records.rows if number == 0 else [{n: row[n] for n in RESERVED_COLUMNS} for row in records.rows],
        {name: share.of(records.arrays[name]) for name, share in held.items()},
        {dim: records.lengths[dim] for dim in piece.ragged_dims},
        {name: share.of(records.exponents[name]) for name, share in held.items() if name in records.exponents},
    )


def bare_rows(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Rows as further pieces have them: without columns."""
    return [{"sample_id": sample.sample_id, "sample_index": sample.index} for sample in samples]


def sites_in(piece: Schema, name: str) -> list[str]:
    """The sites of one of a piece's fields, whose first dim they are."""
    return [str(site) for site in piece.coords[piece.field(name).dims[0]]]
