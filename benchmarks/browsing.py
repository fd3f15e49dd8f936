"""What the viewer's pages cost on stores of very many rows: seconds and peak memory, each size in a process of its own.

    python benchmarks/browsing.py [--rows 10000 1000000] [--hidden 64] [--dir FOLDER]

Rows of six tokens with a surprisal each, two layers of float16 states per row, in commits of 20,000 rows. Pages are
made as the server makes them, without HTTP. "first": with nothing in memory; others come after it, at other rows. A
page of a search looks at 262,144 rows at most; nearest rows are searched among all.
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

from lit_experiments.serving.site import Site
from stores import Column, Field, PartWriter, Records, Schema, create_store

COMMIT, TOKENS, LAYERS = 20_000, 6, 2
WORDS = ["the", "old", "gardener", "waters", "her", "roses", "before", "breakfast", "every", "single", "day"]
PAGES = {
    "list, first": ("/rows", "run=many"),
    "list": ("/rows", "run=many&start={middle}"),
    "search, nothing matches": ("/rows", "run=many&words=zebra"),
    "row, first": ("/row", "run=many&row={middle}"),
    "row": ("/row", "run=many&row={end}"),
    "nearest rows": ("/row", "run=many&row={middle}&near=1"),
}


def write(path: Path, rows: int, hidden: int) -> None:
    """A store of so many rows with random states."""
    fields = (
        Field("hidden_last", ("site", "sample", "hidden"), (LAYERS, None, hidden), "float16", "", ""),
        Field("surprisal", ("token",), (None,), "float32", "nats", ""),
    )
    columns = (Column("text", "string", ""), Column("tokens", "list<string>", ""))
    create_store(path, Schema(fields, columns), {}, {}, "zarr")
    rng = np.random.default_rng(0)
    with PartWriter(path, 0, 1, 1e9) as writer:
        for start in range(0, rows, COMMIT):
            numbers = range(start, min(start + COMMIT, rows))
            tokens = [[WORDS[(i * 7 + place) % len(WORDS)] for place in range(TOKENS)] for i in numbers]
            records = [
                {"sample_id": f"row-{i:08}", "sample_index": i, "text": " ".join(words), "tokens": words}
                for i, words in zip(numbers, tokens, strict=True)
            ]
            states = rng.standard_normal((LAYERS, len(numbers), hidden), dtype=np.float32)
            surprisal = rng.random(TOKENS * len(numbers), dtype=np.float32)
            lengths = {"token": np.full(len(numbers), TOKENS)}
            writer.append(Records(records, {"hidden_last": states, "surprisal": surprisal}, lengths))


def measure(folder: Path, rows: int) -> str:
    """A line of a table: seconds of each page, and the process's peak memory."""
    site, seconds = Site(folder), []
    for address, query in PAGES.values():
        start = time.perf_counter()
        site.answer(address, query.format(middle=rows // 2, end=rows - 1))
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return f"| {rows:,} | {' | '.join(f'{value:.2f}' for value in seconds)} | {peak:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--dir")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(measure(Path(args.measure), args.rows[0]))
        return
    print(f"| rows | {' | '.join(PAGES)} | peak, GB |\n|---:|{'---:|' * (len(PAGES) + 1)}")
    for rows in args.rows:
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            write(Path(folder) / "many", rows, args.hidden)
            again = [sys.executable, __file__, "--measure", folder, "--rows", str(rows)]
            subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
