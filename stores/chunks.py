"""Cutting one array of one segment into chunks, compressing them, and getting them back checked.

Both backends store the same chunk, a Blosc frame (bit-shuffle + LZ4) with its CRC-32C. They differ in the container
around it. Knows arrays and bytes, no files.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blosc_frames import blocks_of
from .checksums import crc32c
from .errors import CorruptStore, SchemaError
from .schema import Field
from .workers import map_ordered

# Measured on 768-wide float16 (benchmarks/store.py): smaller chunks make a random gather cheaper (fewer bytes per hit)
# and compression quicker (stays in cache) until per-chunk overhead takes over; the ratio is the same from 96 KiB on.
CHUNK_BYTES = 128 << 10
CHUNKS_PER_TASK = 24  # 3 MiB: enough that handing over costs nothing next to the compression
LEVEL = 1
BIT_SHUFFLE = 2
_BLOSC_LIMIT = (1 << 31) - 64

Fetch = Callable[[tuple[int, ...], int, int], NDArray[Any]]
"""(indices along the leading dims, start, stop) -> `[stop - start, *trailing]` in the stored dtype."""


@dataclass(frozen=True)
class Layout:
    """Shape and chunking of one field in one segment: one index of each leading dim, `rows` entries along the stacking
    dim.
    """

    leading: tuple[int, ...]
    length: int
    trailing: tuple[int, ...]
    rows: int
    dtype: np.dtype[Any]

    @classmethod
    def plan(cls, field: Field, length: int) -> Layout:
        """Chunks of about CHUNK_BYTES and equal length, so that the last is hardly padded."""
        row_bytes = math.prod(field.trailing) * field.stored_dtype.itemsize
        if row_bytes > _BLOSC_LIMIT:
            raise SchemaError(
                f"Field {field.name!r}: one entry along {field.stacking!r} takes {row_bytes} bytes, more than a "
                f"chunk can hold (2 GiB). Put one of the dims {field.dims[field.axis + 1 :]} before {field.stacking!r}."
            )
        rows = max(1, CHUNK_BYTES // row_bytes)
        pieces = max(1, math.ceil(length / rows))
        return cls(field.leading, length, field.trailing, max(1, math.ceil(length / pieces)), field.stored_dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.leading, self.length, *self.trailing)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        return (*(1 for _ in self.leading), self.rows, *self.trailing)

    @property
    def whole_chunks(self) -> tuple[int, ...]:
        """The shape with the last chunks taken whole: as HDF5's maximum shape it keeps the fixed-array index."""
        return (*self.leading, self.per_line * self.rows, *self.trailing)

    @property
    def per_line(self) -> int:
        """Chunks along the stacking dim."""
        return math.ceil(self.length / self.rows)

    @property
    def n_chunks(self) -> int:
        return math.prod(self.leading) * self.per_line

    @property
    def nbytes(self) -> int:
        """Payload: bytes of the values, without padding or compression."""
        return math.prod(self.shape) * self.dtype.itemsize

    def origin(self, chunk: int) -> tuple[int, ...]:
        """Index of a chunk's first element."""
        lead = self.lead(chunk)
        return (*lead, (chunk % self.per_line) * self.rows, *(0 for _ in self.trailing))

    def lead(self, chunk: int) -> tuple[int, ...]:
        """Indices along the leading dims."""
        line, indices = chunk // self.per_line, []
        for size in reversed(self.leading):  # np.unravel_index takes ten times as long, and this runs for every chunk
            line, index = divmod(line, size)
            indices.append(index)
        return tuple(reversed(indices))


def fill_value(dtype_name: str) -> Any:
    """What fills the unused end of a last chunk: NaN for floats (bits for bfloat16), so that it can't pass for data;
    else 0.
    """
    if dtype_name == "bfloat16":
        return 0x7FC0
    return float("nan") if "float" in dtype_name else 0


@dataclass(frozen=True)
class Frames:
    """Consecutive compressed chunks: `data` holds each frame with its CRC-32C (4 bytes, little-endian) behind it."""

    data: bytes
    sizes: list[int]  # bytes of each frame, without its checksum
    checksums: list[int]

    def __iter__(self) -> Iterator[tuple[memoryview, int]]:
        """Each frame with its checksum."""
        view, begin = memoryview(self.data), 0
        for size, checksum in zip(self.sizes, self.checksums, strict=True):
            yield view[begin : begin + size], checksum
            begin += size + 4


def blosc_frame(values: NDArray[Any]) -> bytes:
    """A chunk's values as the store holds them."""
    from numcodecs import blosc

    frame: bytes = blosc.compress(values, b"lz4", LEVEL, BIT_SHUFFLE)
    return frame


def encode_chunks(
    layout: Layout, fetch: Fetch, fill: Any, codec: Callable[[NDArray[Any]], bytes] = blosc_frame
) -> Iterator[Frames]:
    """All chunks in C order of the grid, some at a time, each through `codec` (C-contiguous values to bytes)."""

    def work(chunks: range) -> Frames:
        pieces: list[bytes] = []
        sizes, checksums = [], []
        for chunk in chunks:
            frame = codec(_values(layout, fetch, fill, chunk))
            sizes.append(len(frame))
            checksums.append(crc32c(frame))
            pieces += (frame, checksums[-1].to_bytes(4, "little"))
        return Frames(b"".join(pieces), sizes, checksums)

    starts = range(0, layout.n_chunks, CHUNKS_PER_TASK)
    return map_ordered(work, (range(s, min(s + CHUNKS_PER_TASK, layout.n_chunks)) for s in starts))


def _values(layout: Layout, fetch: Fetch, fill: Any, chunk: int) -> NDArray[Any]:
    """A whole chunk; a last one is padded."""
    start = (chunk % layout.per_line) * layout.rows
    stop = min(start + layout.rows, layout.length)
    values = np.ascontiguousarray(fetch(layout.lead(chunk), start, stop))
    if stop - start < layout.rows:
        values = np.concatenate([values, np.full((layout.rows - (stop - start), *layout.trailing), fill, layout.dtype)])
    return values


def decode_chunk(
    frame: NDArray[np.uint8],
    checksum: int,
    out: NDArray[Any],
    where: Callable[[], str],
    rows: tuple[int, int] | None = None,
) -> None:
    """Check and decompress one chunk into `out` (C-contiguous, a whole chunk). Runs in a pool thread.

    With `rows` (first, end) only these of the chunk's entries are sure to be decompressed, at their places in `out`;
    the rest of it holds anything. The whole frame is checked all the same. Raises CorruptStore naming `where()` if the
    checksum, the size or the frame is wrong.
    """
    from numcodecs import blosc

    if len(frame) < blosc.MAX_OVERHEAD or crc32c(frame) != checksum:
        raise CorruptStore(f"Checksum error in {where()}. Run `lit-experiments verify` on this store.")
    if int.from_bytes(frame[4:8], "little") != out.nbytes:
        raise CorruptStore(f"{where()} has the wrong length. Run `lit-experiments verify` on this store.")
    target = out
    if rows is not None:
        row_bytes = out.nbytes // len(out)
        frame, begin, end = blocks_of(frame, rows[0] * row_bytes, rows[1] * row_bytes)
        target = out.reshape(-1).view(np.uint8)[begin:end]
    try:
        blosc.decompress(frame, target)
    except RuntimeError as error:
        raise CorruptStore(f"{where()} can't be decompressed: {error}.") from error


class Pieces:
    """Arrays that follow each other along the stacking axis, read as if they were one without copying them together."""

    def __init__(self, arrays: list[NDArray[Any]], axis: int):
        self._arrays = arrays
        self._ends = list(itertools.accumulate(a.shape[axis] for a in arrays))

    @property
    def length(self) -> int:
        return self._ends[-1] if self._ends else 0

    def fetch(self, lead: tuple[int, ...], start: int, stop: int) -> NDArray[Any]:
        """Entries [start, stop) at `lead`; a view if one array holds them all."""
        first = bisect.bisect_right(self._ends, start)  # np.searchsorted would make an array of a list, for every chunk
        pieces = []
        for array, end in zip(self._arrays[first:], self._ends[first:], strict=True):
            line = array[lead]
            begin = end - line.shape[0]
            pieces.append(line[max(0, start - begin) : stop - begin])
            if end >= stop:
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
