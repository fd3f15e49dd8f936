"""The numbers that a strip's pieces can be coloured by: stored ones, norms of states, what a probe says of states.

Owns which number belongs to which piece. Each is computed when it is chosen, for one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import StateField
from lit_experiments.serving.probes import RunProbe
from lit_experiments.serving.rows import Row
from lit_experiments.serving.states import Floats, entries_of, fields_of_states, row_states
from lit_experiments.serving.strips import DRAWN, Strip
from stores import Field

Ints = NDArray[np.int64]
MOST_PIECES = 2000
"""Of a strip; of a longer one the first are shown."""
_FROM_END = ("tail", "predicted")
_MOST_LAYERS = 512
Kind = Literal["stored", "norms of states", "probes"]


@dataclass(frozen=True)
class Number:
    """One number per piece. layers: at which it can be had, () where it has none; usual: the one that is shown unless
    another is chosen. compute: layer -> [piece], NaN where a piece has no number. bounds: what it can be at all, where
    that is known."""

    kind: Kind
    key: str
    label: str
    layers: tuple[str, ...]
    compute: Callable[[str], Floats]
    bounds: tuple[float, float] | None = None
    note: str = ""
    usual: str = ""


def numbers_of(row: Row, strip: Strip, probes: Sequence[RunProbe]) -> list[Number]:
    """All numbers that fit the strip."""
    return [*_columns(row, strip), *_drawn(row, strip), *_fields(row, strip), *_of_states(row, strip, probes)]


def places(row: Row, strip: Strip, field: Field) -> Ints | None:
    """The piece that each entry of a ragged field's row belongs to, [entry]; None where they do not belong together."""
    if not field.ragged or strip.draw is not None or field.stacking.startswith("response") == strip.read:
        return None
    entries, pieces = entries_of(row, field.name), len(strip.pieces)
    named = row.columns.get("span_positions" if field.stacking.startswith("span") else "positions")
    if strip.read and isinstance(named, list) and len(named) == entries and all(0 <= at < pieces for at in named):
        return np.array(named, np.int64)
    if entries == pieces:
        return np.arange(pieces)
    at_end = field.stacking in _FROM_END or row.columns.get("first_state") == pieces - entries
    return np.arange(pieces - entries, pieces) if strip.read and at_end and 0 < entries < pieces else None


def _columns(row: Row, strip: Strip) -> Iterator[Number]:
    for column in row.part.schema.columns:
        values = row.columns.get(column.name)
        if column.type == "list<float64>" and isinstance(values, list) and len(values) == len(strip.pieces):
            known = np.array([np.nan if value is None else value for value in values], np.float64)
            yield Number("stored", column.name, column.name, (), partial(_known, known), note=column.description)


def _known(values: Floats, _: str) -> Floats:
    return values


def _drawn(row: Row, strip: Strip) -> Iterator[Number]:
    """Numbers along [sample, draw, step] of a completion that lies in a field of the same dims."""
    declared = {field.name: field for field in row.part.schema.fields}
    if strip.draw is None or DRAWN not in declared:
        return
    for field in declared.values():
        if field.is_float and field.dims == declared[DRAWN].dims:
            compute = partial(_draw_values, row, field.name, strip.draw, len(strip.pieces))
            yield Number("stored", field.name, _labelled(field), (), compute, note=field.description)


def _draw_values(row: Row, field: str, draw: int, pieces: int, _: str) -> Floats:
    values: Floats = row.part.field(field).read()[0][draw][:pieces].astype(np.float64)
    return values


def _fields(row: Row, strip: Strip) -> Iterator[Number]:
    """Fields of one float per entry, or of one per entry and layer (or whatever their other dim counts)."""
    states = {field.name for field in fields_of_states(row.part)}
    for field in row.part.schema.fields:
        at = places(row, strip, field)
        if at is None or not field.is_float or field.name in states or len(field.dims) > 2:
            continue
        names = _names(row, field)
        if len(names) <= _MOST_LAYERS:
            compute = partial(_field_values, row, field, at, len(strip.pieces))
            yield Number("stored", field.name, _labelled(field), names, compute, note=field.description)


def _field_values(row: Row, field: Field, at: Ints, pieces: int, name: str) -> Floats:
    pick: dict[str, Any] = {dim: _names(row, field).index(name) for dim in field.dims if dim != field.stacking}
    return _placed(row.part.field(field.name).read(**pick), at, pieces)


def _names(row: Row, field: Field) -> tuple[str, ...]:
    """What lies along the dim of a field that is not stacked; () where it has none."""
    sizes = {dim: size for dim, size in zip(field.dims, field.shape, strict=True) if size is not None}
    return tuple(str(name) for dim, size in sizes.items() for name in row.part.schema.coords.get(dim, range(size)))


def _of_states(row: Row, strip: Strip, probes: Sequence[RunProbe]) -> Iterator[Number]:
    for field in fields_of_states(row.part):
        at = places(row, strip, row.part.schema.field(field.name))
        if at is None:
            continue
        states = _StatesOfPieces(row, field, at, len(strip.pieces))
        yield Number("norms of states", f"norm.{field.name}", f"norm of {field.name}", field.layers, states.norms)
        for probe in probes:
            layers = tuple(layer for layer in field.layers if layer in probe.layers)
            if layers and probe.fits(row.part, field.width):
                yield from _of_probe(states, probe, layers)


def _of_probe(states: _StatesOfPieces, probe: RunProbe, layers: tuple[str, ...]) -> Iterator[Number]:
    bounds = (0.0, 1.0) if probe.classes else None
    for output in probe.outputs:
        label = f"{probe.name}: {output}" if probe.classes else probe.name
        key = f"probe.{states.field.name}.{probe.name}.{output}"
        yield Number(
            "probes", key, label, layers, partial(states.scores, probe, output), bounds, probe.caution, probe.chosen
        )


@dataclass(frozen=True, eq=False)
class _StatesOfPieces:
    """States of a row, and the pieces that they belong to; those behind MOST_PIECES are not read."""

    row: Row
    field: StateField
    at: Ints
    pieces: int

    def norms(self, layer: str) -> Floats:
        return self._placed(np.linalg.norm(self._states(layer), axis=1))

    def scores(self, probe: RunProbe, output: str, layer: str) -> Floats:
        return self._placed(probe.says(layer, output, self._states(layer)))

    def _entries(self) -> Ints:
        return np.flatnonzero(self.at < MOST_PIECES)

    def _states(self, layer: str) -> Floats:
        return row_states(self.row, self.field, layer, self._entries())

    def _placed(self, values: Floats) -> Floats:
        return _placed(values, self.at[self._entries()], self.pieces)


def _placed(values: NDArray[Any], at: Ints, pieces: int) -> Floats:
    placed = np.full(pieces, np.nan)
    placed[at] = values
    return placed


def _labelled(field: Field) -> str:
    return f"{field.name} ({field.units})" if field.units else field.name
