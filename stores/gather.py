"""Reading entries of one field, wherever they lie: segment by segment, chunk by chunk, in threads, each chunk read and
checked once, and decompressed as far as it is needed.

Knows segments and layouts; rows, columns and their order are the caller's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .chunks import Layout, decode_chunk
from .encoding import decode_bfloat16
from .schema import Field
from .segment_files import Located
from .segments import Segment
from .workers import run_all

Ints = NDArray[np.int64]
Pick = int | slice | Ints
_RUN_BYTES = 2 << 20  # neighbouring chunks are read together, and a thread's turn lasts, up to this many bytes


@dataclass(frozen=True)
class Places:
    """Entries along the stacking dim: which segment, and which entry there. `[n]` each, in the order wanted."""

    segment: Ints
    entry: Ints

    def __len__(self) -> int:
        return len(self.entry)


_Use = tuple[int, int, int, int]
"""(chunk, place in `leads`, range of the entries to read)"""


class _Run(NamedTuple):
    """Chunks that lie side by side in one file."""

    offset: int
    size: int
    uses: list[_Use]


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

    def plan(
        self, segment: Segment, entries: Ints, targets: Ints
    ) -> list[tuple[Segment, list[_Run], Ints, Ints, Ints]]:
        """Tasks for the entries of one segment. `targets`: their places in the output."""
        sources = entries[targets]
        if np.any(np.diff(sources) < 0):
            order = np.argsort(sources, kind="stable")
            sources, targets = sources[order], targets[order]
        layout, located = segment.layout(self.declared), segment.locate(self.declared)
        chunk = sources // layout.rows
        starts = np.flatnonzero(np.diff(chunk, prepend=-1))
        spans = list(zip(chunk[starts].tolist(), starts.tolist(), [*starts[1:].tolist(), len(chunk)], strict=True))
        breaks = np.concatenate([[0, 0], np.cumsum((np.diff(sources) != 1) | (np.diff(targets) != 1))])
        uses = []
        for number, lead in enumerate(self.leads):
            line = int(np.ravel_multi_index(lead, layout.leading)) if lead else 0
            uses += [(line * layout.per_line + place, number, start, end) for place, start, end in spans]
        offsets, sizes = (column[[use[0] for use in uses]].tolist() for column in (located.offsets, located.sizes))
        runs = _runs(sorted(zip(offsets, sizes, uses, strict=True)))
        tasks = _tasks(runs) if segment.files.is_local else [[run] for run in runs]
        return [(segment, task, sources, targets, breaks) for task in tasks]

    def run(self, segment: Segment, runs: list[_Run], sources: Ints, targets: Ints, breaks: Ints) -> None:
        """Read, check, decompress and place the chunks of one task. Runs in a pool thread."""
        layout, located = segment.layout(self.declared), segment.locate(self.declared)
        spare = np.empty((layout.rows, *layout.trailing), layout.dtype)
        stored = segment.files.read_ranges(located.rel, [(run.offset, run.size) for run in runs])
        for run, data in zip(runs, stored, strict=False):  # strict would ask for one more
            at, values = 0, np.frombuffer(data, np.uint8)
            for use in run.uses:
                size = int(located.sizes[use[0]])
                solid = bool(breaks[use[3]] == breaks[use[2] + 1])
                self._place(segment, layout, located, use, values[at : at + size], sources, targets, solid, spare)
                at += size

    def _place(
        self,
        segment: Segment,
        layout: Layout,
        located: Located,
        use: _Use,
        stored: NDArray[np.uint8],
        sources: Ints,
        targets: Ints,
        solid: bool,
        spare: NDArray[Any],
    ) -> None:
        """Bring the wanted entries of one chunk to their places. `solid`: these and their places go up by one from each
        to the next. `spare`: room for a chunk."""
        chunk, number, start, end = use
        into, base = self.out[number], (chunk % layout.per_line) * layout.rows
        first, last = int(sources[start]) - base, int(sources[end - 1]) - base + 1
        goal, goal_end = int(targets[start]), int(targets[end - 1]) + 1
        if solid and self.direct and end - start == layout.rows:
            self._decode(segment, layout, located, chunk, stored, into[goal:goal_end], None)
            return
        self._decode(segment, layout, located, chunk, stored, spare, (first, last))
        rows: Any = slice(first, last) if solid else sources[start:end] - base
        values = spare[rows] if self.all_trailing else spare[rows][self.pick]
        places: Any = slice(goal, goal_end) if solid else targets[start:end]
        into[places] = decode_bfloat16(values) if self.widen else values

    def _decode(
        self,
        segment: Segment,
        layout: Layout,
        located: Located,
        chunk: int,
        stored: NDArray[np.uint8],
        out: NDArray[Any],
        rows: tuple[int, int] | None,
    ) -> None:
        def where() -> str:
            return f"{segment.files.locate(located.rel)}, field {self.declared.name!r}, chunk at {layout.origin(chunk)}"

        decode_chunk(*located.frame(chunk, stored), out, where, rows)


def _runs(places: list[tuple[int, int, _Use]]) -> list[_Run]:
    """Chunks (offset, size, use), in order, that follow each other in the file, up to _RUN_BYTES together."""
    runs: list[_Run] = []
    for offset, size, use in places:
        if runs and runs[-1].offset + runs[-1].size == offset and runs[-1].size + size <= _RUN_BYTES:
            first, length, uses = runs[-1]
            uses.append(use)
            runs[-1] = _Run(first, length + size, uses)
        else:
            runs.append(_Run(offset, size, [use]))
    return runs


def _tasks(runs: list[_Run]) -> list[list[_Run]]:
    """Runs of one file, up to _RUN_BYTES together: handing a chunk to a thread costs more than reading it."""
    tasks: list[list[_Run]] = []
    room = 0
    for run in runs:
        if not tasks or run.size > room:
            tasks.append([])
            room = _RUN_BYTES
        tasks[-1].append(run)
        room -= run.size
    return tasks


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
