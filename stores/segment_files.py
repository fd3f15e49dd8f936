"""What passes between a backend and the rest: plans of arrays in, written files and places of chunks out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checksums import FileChecksums
from .chunks import Fetch, Layout


@dataclass(frozen=True)
class FieldPlan:
    """One array to be written: where its values come from and how it is described."""

    name: str
    dims: tuple[str, ...]
    layout: Layout
    fetch: Fetch
    fill: Any
    attributes: dict[str, Any]


@dataclass
class WrittenFiles:
    """A segment's files with sizes and checksums; stored bytes and the chunks' CRC-32C (in C order) by field."""

    files: dict[str, FileChecksums] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    chunks: dict[str, list[int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True)
class Located:
    """Byte places of an array's chunks within one file, in C order of the chunk grid.

    `checksums`: the CRC-32C of each chunk's frame. `trailer`: bytes behind each frame that belong to the container.
    """

    rel: str
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    checksums: NDArray[np.uint32] | None
    trailer: int = 0

    def frame(self, chunk: int, stored: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
        """(frame, its checksum) of a chunk's bytes. Where no checksums are known, the trailer holds them."""
        frame = stored[: len(stored) - self.trailer]
        if self.checksums is not None:
            return frame, int(self.checksums[chunk])
        return frame, int.from_bytes(stored[-4:].tobytes(), "little")
