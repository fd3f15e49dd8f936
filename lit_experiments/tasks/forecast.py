"""What a train or analyze task reads and holds: said by --dry_run, checked before anything is computed.

From the store's index and the task's options alone; what a fit's sums take is counted when it begins (`probes`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lit_experiments.errors import UserError
from lit_experiments.units import byte_count
from stores import Store

_COPIES = 3  # of a row that is taken by itself: as it is read, and in float64
_RESULTS = 20_000_000  # bytes on the disk: numbers, tables, and pictures of every figure


@dataclass(frozen=True)
class ReadForecast:
    """rows: of the store. fields: name -> bytes of one reading of all its values. least: bytes that are held at least.
    fits: bytes that a fit may take for what it sums or keeps, as an option bounds it, and two checkpoints of it on the
    disk; 0 without fits."""

    rows: int
    fields: dict[str, int]
    least: int
    fits: int

    def require(self, out: Path) -> None:
        """Raises UserError where memory, or the disk of `out`, cannot hold it."""
        free, room = _free(out)
        if self.least > free:
            raise UserError(
                f"Not enough memory: at least {byte_count(self.least)} of states are held at a time, "
                f"{byte_count(free)} are free.\n"
                "Next: a smaller --block_mb where the task has it; or a machine with more memory."
            )
        if room < _RESULTS:
            raise UserError(
                f"Not enough room for results on the disk of {out.absolute()}: about {byte_count(_RESULTS)}, "
                f"{byte_count(room)} are free.\nNext: make room there."
            )

    def lines(self, out: Path) -> list[str]:
        """For the terminal."""
        free, room = _free(out)
        fields = ", ".join(f"{name} {byte_count(size)}" for name, size in self.fields.items())
        bound = f"; fits at most about {byte_count(self.fits)} more" if self.fits else ""
        checkpoints = f", checkpoints of at most about {byte_count(self.fits)}" if self.fits else ""
        states, results = byte_count(self.least), byte_count(_RESULTS)
        return [
            f"rows               {self.rows:,}",
            f"reads              {fields or 'columns alone'} (each time that all of it is read)",
            f"memory             states of at least {states} at a time{bound} ({byte_count(free)} free)",
            f"bytes on disk      results of about {results} at most{checkpoints} ({byte_count(room)} free)",
            "Nothing was computed. The same command without --dry_run does.",
        ]


def read_forecast(store: Store, names: Iterable[str], block_bytes: int | None, fits: int) -> ReadForecast:
    """Of a task that reads fields of these names, in blocks of so many bytes or (None) row by row; names of columns are
    passed over."""
    views = {name: store[name] for name in names if name in {field.name for field in store.schema.fields}}
    totals = {name: int(view.lengths().sum()) * view.entry_bytes for name, view in views.items()}
    if block_bytes is not None:
        least = min(block_bytes, max(totals.values(), default=0))
    else:
        longest = (int(view.lengths().max(initial=0)) * view.entry_bytes for view in views.values())
        least = _COPIES * max(longest, default=0)
    return ReadForecast(len(store), totals, least, fits)


def _free(out: Path) -> tuple[int, int]:
    """(bytes of memory that are available, bytes on the disk of a folder that may not be there yet)."""
    existing = next(path for path in [out.absolute(), *out.absolute().parents] if path.exists())
    return psutil.virtual_memory().available, shutil.disk_usage(existing).free
