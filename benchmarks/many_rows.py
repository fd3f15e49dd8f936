"""Planning, opening and resuming with very many rows: CPU time and peak memory, each number of rows in its own process.

    python benchmarks/many_rows.py                 1 and 10 million samples, half of them committed; minutes
    python benchmarks/many_rows.py --rows 100000   fewer

Samples are those of a table of short texts, as columns; the store is written by `stores`, with commits of 50,000 rows.
Reading texts and running a model are left out.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import stores
from lit_experiments.collecting.committed import committed
from lit_experiments.collecting.plan import Sample, pending, plan_batches, share
from lit_experiments.collecting.samples import Columns, ColumnSamples, totals

_COMMIT = 50_000
_FIELD = stores.Field("hidden_last", ("sample", "hidden"), (None, 4), "float32", "", "")


class Texts(ColumnSamples):
    """Texts of 3 to 40 tokens."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def sample(self, number: int) -> Sample:
        return Sample(f"text-{number:06d}", number, int(_tokens(np.array([number]))[0]), number)

    def columns(self, start: int, stop: int) -> Columns:
        numbers = np.arange(start, stop)
        return Columns([f"text-{number:06d}" for number in range(start, stop)], numbers, _tokens(numbers), {})


def _tokens(numbers: np.ndarray) -> np.ndarray:
    return 3 + numbers * 7919 % 38


def fill(path: Path, rows: int) -> None:
    """A store of every second sample."""
    stores.create_store(path, stores.Schema((_FIELD,), ()), {}, {}, "zarr")
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        for start in range(0, rows, 2 * _COMMIT):
            numbers = range(start, min(rows, start + 2 * _COMMIT), 2)
            names = [{"sample_id": f"text-{n:06d}", "sample_index": n} for n in numbers]
            writer.append(stores.Records(names, {"hidden_last": np.zeros((len(names), 4), np.float32)}))


def measure(path: Path, rows: int) -> None:
    """Prints one line a step."""
    samples, begun = Texts(rows), time.process_time()

    def said(step: str) -> None:
        nonlocal begun
        seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{rows:>10,}  {step:<18} {seconds:8.2f} s CPU {seconds / rows * 1e6:7.3f} us a row {peak:8.0f} MiB peak")
        begun = time.process_time()

    said("start")
    store = stores.open_store(path)
    said("open")
    assert len(store) == (rows + 1) // 2
    said("len")
    batches = plan_batches(samples, 4_096, None)
    said("plan")
    done = committed(store, samples)
    said("committed")
    left = pending(batches, done)
    assert totals(samples, ~done).samples == rows // 2
    said("pending")
    for ranks in (1, 8, 64, 1024):
        assert len(share(left, ranks - 1, ranks)) <= len(left) // ranks * 2 + 1
        said(f"share of {ranks:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--store", type=Path, help="measure with this store, in this process")
    options = parser.parse_args()
    if options.store is not None:
        measure(options.store, options.rows[0])
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), rows)
            subprocess.run([sys.executable, __file__, "--rows", str(rows), "--store", folder], check=True)


if __name__ == "__main__":
    main()
