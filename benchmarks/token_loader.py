"""Tokens in random order: a gather, a sample, and torch's DataLoader over the tokens of one layer, shuffled, from a
store of each backend next to a memory map of the same numbers; in one run, interleaved, medians.

    python benchmarks/token_loader.py [--rounds 5] [--tokens 50000] [--rows 10240] [--batch 256] [--dir FOLDER]

13 layers x 50,000 tokens x 768 float16 (1 GB), read warm. Every gather and sample takes other tokens. A data set gives
a batch at once (`__getitems__`); "memmap, by row" gives a row at a time, as a plain `Dataset` does. Wall clock and, as
a machine may be shared, processor time (all threads and worker processes), in ms, and in rows per second of either.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Subset

from benchmarks.store import SAMPLE, Ours, Plain, blocks, make_data

LAYER, WANTED = 7, 256


class Tokens(Dataset[NDArray[np.float16]]):
    """The tokens of one layer; a batch is one gather."""

    def __init__(self, kind: Plain | Ours, folder: Path) -> None:
        self.kind, self.opened = kind, kind.open(folder)

    def __getitem__(self, at: int) -> NDArray[np.float16]:
        return self.__getitems__([at])[0]

    def __getitems__(self, at: list[int]) -> NDArray[np.float16]:
        return np.asarray(self.kind.gather(self.opened, np.array(at)))


class MappedRows(Dataset[NDArray[np.float16]]):
    """The tokens of one layer of a memory map, one at a time."""

    def __init__(self, kind: Plain, folder: Path) -> None:
        self.layer = kind.open(folder)[LAYER]

    def __getitem__(self, at: int) -> NDArray[np.float16]:
        return np.array(self.layer[at])


def to_tensor(batch: NDArray[np.float16] | list[NDArray[np.float16]]) -> torch.Tensor:
    """A batch `[row, hidden]`; of single rows their stack."""
    return torch.from_numpy(batch if isinstance(batch, np.ndarray) else np.stack(batch))


def processor_seconds() -> float:
    """Of this process and of those of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def clock(work: Callable[[], Any]) -> tuple[float, float]:
    """(wall, processor) seconds."""
    processor, wall = processor_seconds(), time.perf_counter()
    work()
    return time.perf_counter() - wall, processor_seconds() - processor


def loading(data: Dataset[Any], order: NDArray[np.int64], batch: int, workers: int) -> None:
    """Go through `order` once. Raises AssertionError unless every row came."""
    loader = DataLoader(Subset(data, order.tolist()), batch, num_workers=workers, collate_fn=to_tensor)
    assert sum(len(values) for values in loader) == len(order)


def one_round(
    kinds: dict[str, tuple[Plain | Ours, Path]], seed: int, tokens: int, rows: int, batch: int
) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """(what, of which, (wall, processor) seconds a call)."""
    rng = np.random.default_rng(seed)
    order, at = rng.permutation(tokens)[:rows], np.sort(rng.choice(tokens, WANTED, replace=False))
    number = int(rng.integers(tokens // SAMPLE))
    for name, (kind, folder) in kinds.items():
        opened, data = kind.open(folder), Tokens(kind, folder)
        kind.gather(opened, at[:1]), kind.sample(opened, 0)  # the places of the chunks are looked up once
        yield "gather", name, clock(lambda kind=kind, opened=opened: kind.gather(opened, at))  # type: ignore[misc]
        yield "sample", name, clock(lambda kind=kind, opened=opened: kind.sample(opened, number))  # type: ignore[misc]
        sets: dict[str, Dataset[Any]] = {name: data}
        if isinstance(kind, Plain):
            sets[f"{name}, by row"] = MappedRows(kind, folder)
        for label, rows_of in sets.items():
            for workers in (1, 2):
                work = lambda rows_of=rows_of, workers=workers: loading(rows_of, order, batch, workers)  # noqa: E731
                yield f"loader, {workers}", label, clock(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=10_240, help="rows that a loader goes through")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dir", default=None, help="where to write (default: a new temporary folder)")
    given = parser.parse_args()
    kinds: dict[str, Plain | Ours] = {"memmap": Plain(), "zarr": Ours("zarr"), "hdf5": Ours("hdf5")}
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        parts = blocks(make_data(given.tokens, "float32"))
        places = {name: (kind, Path(folder) / name) for name, kind in kinds.items()}
        for kind, place in places.values():
            kind.write(place, parts)
        del parts
        for seed in range(given.rounds):
            for what, name, seconds in one_round(places, seed, given.tokens, given.rows, given.batch):
                series.setdefault((what, name), []).append(seconds)
    print("| | | wall, ms | processor, ms | rows/s, wall | rows/s, processor |\n|---|---|---:|---:|---:|---:|")
    for (what, name), values in series.items():
        wall, processor = (statistics.median(column) for column in zip(*values, strict=True))
        rows = given.rows if what.startswith("loader") else SAMPLE if what == "sample" else WANTED
        print(f"| {what} | {name} | {1e3 * wall:.2f} | {1e3 * processor:.2f} | {rows / wall:,.0f} | ", end="")
        print(f"{rows / max(processor, 1e-9):,.0f} |")


if __name__ == "__main__":
    main()
