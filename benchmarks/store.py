"""Write, read, gather: the store's two backends next to plain files, on the same data, in one run, interleaved;
medians.

    python benchmarks/store.py [--rounds 5] [--tokens 50000] [--rows 1000000] [--dir FOLDER]

13 layers x 50,000 tokens x 768 float16 (1 GB), in blocks of 4096 tokens as a collector hands them over; once from
float32 numbers, once from bfloat16 ones (only sizes differ much). Plain files: one per layer, `np.tofile` block by
block; read by `np.memmap`. write: until the last byte is with the kernel (the store's is on its way to the disk by
then, past the page cache); durable: until it is on the disk (fsync), commit included. Reads are warm except "cold",
before which the page cache is dropped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

import stores

LAYERS, HIDDEN, BLOCK, SAMPLE = 13, 768, 4096, 64
SCHEMA = stores.Schema(
    (stores.Field("x", ("layer", "token", "hidden"), (LAYERS, None, HIDDEN), "float16", "1", ""),), ()
)
Timings = dict[str, list[float]]


def make_data(tokens: int, born: str) -> np.ndarray:
    """Gaussian numbers of the magnitudes in a GPT-2 with random weights, float16 `[layer, token, hidden]`."""
    rng = np.random.default_rng(0)
    data = np.empty((LAYERS, tokens, HIDDEN), np.float16)
    for layer in range(LAYERS):
        values = rng.standard_normal((tokens, HIDDEN), dtype=np.float32) * np.float32(0.08 * max(layer, 0.1) ** 0.5)
        if born == "bfloat16":
            values = ((values.view(np.uint32) >> 16) << 16).view(np.float32)
        data[layer] = values
    return data


def blocks(data: np.ndarray) -> list[np.ndarray]:
    """Blocks of tokens, each contiguous, as they come from a model."""
    return [np.ascontiguousarray(data[:, at : at + BLOCK]) for at in range(0, data.shape[1], BLOCK)]


def clock(work: Callable[[], Any], times: int) -> float:
    """Median seconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def drop_cache(folder: Path) -> None:
    os.sync()
    for file in (f for f in folder.rglob("*") if f.is_file()):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def size_of(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


class Plain:
    """One raw file per layer."""

    def write(self, folder: Path, data: list[np.ndarray]) -> tuple[float, float]:
        folder.mkdir()
        start = time.perf_counter()
        files = [(folder / f"{layer}.bin").open("wb", buffering=0) for layer in range(LAYERS)]
        for block in data:
            for layer, file in enumerate(files):
                block[layer].tofile(file)
        written = time.perf_counter() - start
        for file in files:
            os.fsync(file.fileno())
            file.close()
        return written, time.perf_counter() - start

    def open(self, folder: Path) -> Any:
        files = [folder / f"{layer}.bin" for layer in range(LAYERS)]
        return [np.memmap(file, np.float16, "r").reshape(-1, HIDDEN) for file in files]

    def layer(self, opened: Any) -> Any:
        return np.array(opened[5])

    def gather(self, opened: Any, at: np.ndarray) -> Any:
        return opened[7][at]

    def sample(self, opened: Any, number: int) -> Any:
        return np.stack([layer[number * SAMPLE : (number + 1) * SAMPLE] for layer in opened])


class Ours:
    """A store of one backend, committed once at the end."""

    def __init__(self, backend: str):
        self.backend = backend

    def write(self, folder: Path, data: list[np.ndarray]) -> tuple[float, float]:
        stores.create_store(folder, SCHEMA, {}, {}, self.backend)
        batches = [self._records(number, block) for number, block in enumerate(data)]
        start = time.perf_counter()
        with stores.PartWriter(folder, 0, 1 << 40, 1e9) as writer:
            for batch in batches:
                writer.append(batch)
        durable = time.perf_counter() - start
        return durable - writer.seconds_flushing, durable

    def _records(self, number: int, block: np.ndarray) -> stores.Records:
        n = block.shape[1]
        lengths = np.full(-(-n // SAMPLE), SAMPLE)
        lengths[-1] = n - SAMPLE * (len(lengths) - 1)
        ids = range(number * BLOCK // SAMPLE, number * BLOCK // SAMPLE + len(lengths))
        rows = [{"sample_id": str(i), "sample_index": i} for i in ids]
        return stores.Records(rows, {"x": block}, {"token": lengths})

    def open(self, folder: Path) -> Any:
        return stores.open_store(folder)["x"]

    def layer(self, opened: Any) -> Any:
        return opened.read(layer=5, raw=True)

    def gather(self, opened: Any, at: np.ndarray) -> Any:
        return opened.gather(at, layer=7, raw=True)

    def sample(self, opened: Any, number: int) -> Any:
        return opened.read(rows=[number], raw=True)


def one_round(kind: Plain | Ours, folder: Path, data: np.ndarray, parts: list[np.ndarray], timings: Timings) -> None:
    """Write and read once, check what was read, and note the seconds."""
    os.sync()
    written, durable = kind.write(folder, parts)
    opened = kind.open(folder)
    at = np.sort(np.random.default_rng(1).choice(data.shape[1], 256, replace=False))
    number = data.shape[1] // SAMPLE // 2
    assert np.array_equal(kind.layer(opened), data[5])
    assert np.array_equal(kind.gather(opened, at), data[7][at])
    assert np.array_equal(kind.sample(opened, number), data[:, number * SAMPLE : (number + 1) * SAMPLE])
    timed = {
        "write": written,
        "durable": durable,
        "layer": clock(lambda: kind.layer(opened), 3),
        "gather": clock(lambda: kind.gather(opened, at), 7),
        "sample": clock(lambda: kind.sample(opened, number), 7),
    }
    drop_cache(folder)
    opened = kind.open(folder)
    timed["layer cold"] = clock(lambda: kind.layer(opened), 1)
    for name, seconds in timed.items():
        timings.setdefault(name, []).append(seconds)


def compare(folder: Path, tokens: int, born: str, rounds: int) -> None:
    """Print the table for one kind of data."""
    data = make_data(tokens, born)
    parts = blocks(data)
    kinds: dict[str, Plain | Ours] = {
        "np.tofile, memmap": Plain(),
        "store, zarr": Ours("zarr"),
        "store, hdf5": Ours("hdf5"),
    }
    timings: dict[str, Timings] = {name: {} for name in kinds}
    sizes = {}
    for _ in range(rounds):
        for name, kind in kinds.items():
            place = folder / "data"
            one_round(kind, place, data, parts, timings[name])
            sizes[name] = size_of(place) / data.nbytes
            shutil.rmtree(place)
    size = f"{data.nbytes / 1e9:.2f} GB"
    print(f"\n{size} of float16 from {born}, {os.cpu_count()} processors, medians of {rounds} rounds\n")
    print("| | write s | to raw | durable s | to raw | layer ms | layer cold ms | gather 256 ms | sample ms | size |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    base = {key: statistics.median(values) for key, values in timings["np.tofile, memmap"].items()}
    for name, series in timings.items():
        m = {key: statistics.median(values) for key, values in series.items()}
        write, durable = m["write"] / base["write"], m["durable"] / base["durable"]
        reads = " | ".join(f"{1e3 * m[key]:.2f}" for key in ("layer", "layer cold", "gather", "sample"))
        writes = f"{m['write']:.2f} | {write:.2f} | {m['durable']:.2f} | {durable:.2f}"
        print(f"| {name} | {writes} | {reads} | {sizes[name]:.3f} |")


def metadata(folder: Path, rows: int, commits: int) -> None:
    """Print how long opening and filtering many rows takes."""
    schema = stores.Schema(
        (stores.Field("score", ("sample", "draw"), (None, 2), "float32", "1", ""),),
        (stores.Column("prompt", "string", ""), stores.Column("group", "int64", ""), stores.Column("p", "float64", "")),
    )
    stores.create_store(folder / "many", schema, {}, {}, "zarr")
    rng = np.random.default_rng(0)
    per_commit = rows // commits
    with stores.PartWriter(folder / "many", 0, 1, 1e9) as writer:
        for commit in range(commits):
            p = rng.random(per_commit)
            batch = [
                {
                    "sample_id": f"question-{i}",
                    "sample_index": i,
                    "prompt": f"Q {i}?",
                    "group": i % 97,
                    "p": float(x),
                }
                for i, x in enumerate(p, start=commit * per_commit)
            ]
            writer.append(stores.Records(batch, {"score": rng.random((per_commit, 2), dtype=np.float32)}))
    opening = clock(lambda: stores.open_store(folder / "many"), 5)
    condition = (pc.field("p") > 0.9) & (pc.field("group") == 5)
    fresh = [stores.open_store(folder / "many") for _ in range(5)]
    first = clock(lambda: fresh.pop().select(condition), 5)
    store = stores.open_store(folder / "many")
    store.select(condition)
    again = clock(lambda: store.select(condition), 5)
    print(f"\n{rows:,} rows in {commits} commits\n")
    print("| open s | filter by two columns, first time s | again s |\n|---|---|---|")
    print(f"| {opening:.2f} | {first:.2f} | {again:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dir", default=None, help="where to write (default: a new temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        for born in ("float32", "bfloat16"):
            compare(Path(folder), given.tokens, born, given.rounds)
        metadata(Path(folder), given.rows, 100)


if __name__ == "__main__":
    main()
