"""Reading entries of one field, wherever they lie: segment by segment, chunk by chunk, in threads, each chunk read and
checked once.

Knows segments and layouts; rows, columns and their order are the caller's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chunks import Layout, decode_chunk
from .encoding import decode_bfloat16
from .schema import Field
from .segments import Segment
from .workers import run_all

Ints = NDArray[np.int64]
Pick = int | slice | Ints
_RUN_BYTES = 2 << 20  # neighbouring chunks are read together up to this many bytes


@dataclass(frozen=True)
class Places:
    """Entries along the stacking dim: which segment, and which entry there. `[n]` each, in the order wanted."""

    segment: Ints
    entry: Ints

    def __len__(self) -> int:
        return len(self.entry)


@dataclass(frozen=True)
class _Task:
    """Chunks that lie side by side in one file. Each: (chunk, place in `leads`, range of the entries to read)."""

    segment: Segment
    offset: int
    size: int
    chunks: list[tuple[int, int, int, int]]


def gather(
    declared: Field, segments: list[Segment], places: Places, picks: tuple[Pick, ...], raw: bool
) -> NDArray[Any]:
    """Values `[*leading picked, len(places), *trailing picked]`; an int pick drops its axis.

    `picks`: one for each dim but the stacking one, in order. Values come in the field's read dtype (exponents not
    applied), or with `raw` in the stored one. Raises CorruptStore for a missing or damaged chunk.
    """
    n_lead = len(declared.leading)
    leads, lead_shape = _leading(declared.leading, picks[:n_lead])
    trailing_shape = np.empty(declared.trailing, np.bool_)[_orthogonal(picks[n_lead:], declared.trailing)].shape
    dtype = declared.stored_dtype if raw else declared.read_dtype
    out = np.empty((len(leads), len(places), *trailing_shape), dtype)
    reader = _Reader(declared, leads, picks[n_lead:], raw, out)
    order = np.argsort(places.segment, kind="stable")
    bounds = np.searchsorted(places.segment[order], np.arange(len(segments) + 1))
    tasks = (
        partial(reader.run, *task)
        for number in np.flatnonzero(np.diff(bounds))
        for task in reader.plan(segments[number], places.entry, order[bounds[number] : bounds[number + 1]])
    )
    run_all(tasks)
    return out.reshape(*lead_shape, len(places), *trailing_shape)


class _Reader:
    """One gather under way: its target, and how a chunk's values get there."""

    def __init__(
        self, declared: Field, leads: list[tuple[int, ...]], picks: tuple[Pick, ...], raw: bool, out: NDArray[Any]
    ):
        self.declared, self.leads, self.out = declared, leads, out
        self.widen = declared.dtype == "bfloat16" and not raw
        self.all_trailing = all(isinstance(p, slice) and p == slice(None) for p in picks)
        self.pick = (slice(None), *_orthogonal(picks, declared.trailing)) if not self.all_trailing else ()
        self.direct = self.all_trailing and out.dtype == declared.stored_dtype

    def plan(self, segment: Segment, entries: Ints, targets: Ints) -> list[tuple[_Task, Ints, Ints, Ints]]:
        """Tasks for the entries of one segment. `targets`: their places in the output."""
        sources = entries[targets]
        if np.any(np.diff(sources) < 0):
            order = np.argsort(sources, kind="stable")
            sources, targets = sources[order], targets[order]
        layout, located = segment.layout(self.declared), segment.locate(self.declared)
        chunk = sources // layout.rows
        starts = np.flatnonzero(np.diff(chunk, prepend=-1))
        ends = np.append(starts[1:], len(chunk))
        breaks = np.concatenate([[0, 0], np.cumsum((np.diff(sources) != 1) | (np.diff(targets) != 1))])
        uses = []
        for number, lead in enumerate(self.leads):
            line = int(np.ravel_multi_index(lead, layout.leading)) if lead else 0
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                uses.append((line * layout.per_line + int(chunk[start]), number, start, end))
        uses.sort(key=lambda use: int(located.offsets[use[0]]))
        return [(_Task(segment, *run), sources, targets, breaks) for run in _runs(uses, located.offsets, located.sizes)]

    def run(self, task: _Task, sources: Ints, targets: Ints, breaks: Ints) -> None:
        """Read, check, decompress and place the chunks of one task. Runs in a pool thread."""
        segment, declared = task.segment, self.declared
        layout, located = segment.layout(declared), segment.locate(declared)
        data = np.frombuffer(segment.files.read_range(located.rel, task.offset, task.size), np.uint8)
        spare = np.empty((layout.rows, *layout.trailing), layout.dtype)
        for chunk, number, start, end in task.chunks:
            at = int(located.offsets[chunk]) - task.offset
            stored = data[at : at + int(located.sizes[chunk])]
            solid = bool(breaks[end] == breaks[start + 1])
            source = sources[start:end] - (chunk % layout.per_line) * layout.rows
            into = self.out[number]
            if solid and self.direct and end - start == layout.rows:
                values = into[targets[start] : targets[start] + layout.rows]
                self._decode(segment, layout, located.rel, chunk, stored, values)
                continue
            self._decode(segment, layout, located.rel, chunk, stored, spare)
            rows: Any = slice(int(source[0]), int(source[-1]) + 1) if solid else source
            values = spare[rows] if self.all_trailing else spare[rows][self.pick]
            goal: Any = slice(int(targets[start]), int(targets[end - 1]) + 1) if solid else targets[start:end]
            into[goal] = decode_bfloat16(values) if self.widen else values

    def _decode(
        self, segment: Segment, layout: Layout, rel: str, chunk: int, stored: NDArray[np.uint8], out: NDArray[Any]
    ) -> None:
        def where() -> str:
            return f"{segment.files.locate(rel)}, field {self.declared.name!r}, chunk at {layout.origin(chunk)}"

        decode_chunk(*segment.locate(self.declared).frame(chunk, stored), out, where)


def _runs(
    uses: list[tuple[int, int, int, int]], offsets: Ints, sizes: Ints
) -> list[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """(offset, size, uses) of chunks that follow each other in the file, up to _RUN_BYTES each."""
    runs: list[tuple[int, int, list[tuple[int, int, int, int]]]] = []
    for use in uses:
        offset, size = int(offsets[use[0]]), int(sizes[use[0]])
        if runs and runs[-1][0] + runs[-1][1] == offset and runs[-1][1] + size <= _RUN_BYTES:
            first, length, chained = runs[-1]
            chained.append(use)
            runs[-1] = (first, length + size, chained)
        else:
            runs.append((offset, size, [use]))
    return runs


def _leading(sizes: tuple[int, ...], picks: tuple[Pick, ...]) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """All index tuples picked along the leading dims, and the shape they form."""
    lists = [np.atleast_1d(np.arange(n)[pick]) for n, pick in zip(sizes, picks, strict=True)]
    shape = tuple(len(indices) for indices, pick in zip(lists, picks, strict=True) if not isinstance(pick, int))
    return [tuple(int(i) for i in combination) for combination in itertools.product(*lists)], shape


def _orthogonal(picks: tuple[Pick, ...], sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """An index that applies each pick to its own axis; ints drop theirs."""
    if not any(isinstance(pick, np.ndarray) for pick in picks):
        return tuple(picks)
    kept = [axis for axis, pick in enumerate(picks) if not isinstance(pick, int)]
    grid = iter(np.ix_(*(np.arange(sizes[axis])[picks[axis]] for axis in kept)))
    return tuple(next(grid) if axis in kept else pick for axis, pick in enumerate(picks))
