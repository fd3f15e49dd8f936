"""What a fit by passes takes, checked before its first pass: passes, bytes, memory, room for checkpoints.

Knows no probe: each says its own numbers (`PassModule.foresee`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError
from lit_experiments.units import byte_count

BLOCKS = 2  # one that is added, one that is read meanwhile
_DRAFTS = 2  # checkpoints on the disk while a new one is written


@dataclass(frozen=True)
class Forecast:
    """passes: over the data, some of them over some layers. read: bytes of states in all of them, as float32. sums,
    blocks: bytes in the memory of each process, at least; sums: all that is held from block to block. saved: bytes of a
    checkpoint. open_ended: whether passes and read are those of a fit that uses all its steps, and mostly are fewer.
    """

    passes: int
    read: int
    sums: int
    blocks: int
    saved: int
    open_ended: bool = False

    def line(self, name: str, processes: int) -> str:
        """For the terminal."""
        where = f"each of {processes} processes" if processes > 1 else "memory"
        most = "up to about " if self.open_ended else ""
        return (
            f"{name}: {most}{self.passes:,} passes read {most}{byte_count(self.read)} of states; sums of "
            f"{byte_count(self.sums)} and blocks of {byte_count(self.blocks)} in {where}."
        )


def require_memory(expected: Forecast, processes: int, free: int) -> None:
    """Raises UserError where a fit cannot be held. free: bytes of memory that are available."""
    needed = processes * (expected.sums + expected.blocks)
    if needed > free:
        raise UserError(
            f"Not enough memory for this fit: {processes} x {byte_count(expected.sums + expected.blocks)} at least "
            f"(sums {byte_count(expected.sums)}, blocks {byte_count(expected.blocks)}), {byte_count(free)} are free.\n"
            "Next: fewer --devices; a smaller --block_mb; or a smaller --memory_mb where the task has it (more passes)."
        )


def require_disk(expected: Forecast, folder: Path, free: int) -> None:
    """Raises UserError where checkpoints have no room. free: bytes on the disk of `folder`."""
    if _DRAFTS * expected.saved > free:
        raise UserError(
            f"Not enough room for checkpoints on the disk of {folder.absolute()}: up to "
            f"{_DRAFTS} x {byte_count(expected.saved)}, {byte_count(free)} are free.\n"
            "Next: make room there, or a smaller --memory_mb where the task has it (more passes)."
        )
