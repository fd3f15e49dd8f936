"""Reading, planning and resuming with very many rows: CPU time and peak memory, each table in a process of its own.

    python -m benchmarks.many_rows                                     1 and 10 million samples without texts; minutes
    python -m benchmarks.many_rows --tables csv parquet jsonl          tables of as many texts, read and tokenised too
    python -m benchmarks.many_rows --rows 100000 --groups              and groups of content of the texts
    python -m benchmarks.many_rows --ranks 64 256 1024                 opening what so many processes wrote

Half of the samples are committed: the store is written by `stores`, with commits of 5,000 rows and without states. Of
tables, the collection that would read them is made by its options; no model runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import stores
from lit_experiments.collecting.committed import committed
from lit_experiments.collecting.inputs import INPUT_DIGEST, input_digest, refuse_other_inputs
from lit_experiments.collecting.plan import Sample, pending, plan_batches, share
from lit_experiments.collecting.samples import Columns, ColumnSamples, totals

_COMMIT = 10_000
_FIELD = stores.Field("hidden_last", ("sample", "hidden"), (None, 4), "float32", "", "")
_WORDS = ("the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not")


class Numbered(ColumnSamples):
    """Samples of 3 to 40 tokens without texts."""

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


def text(number: int) -> str:
    """Four to eleven words, the last of them the number."""
    return " ".join(_WORDS[number * k % len(_WORDS)] for k in range(1, 4 + number % 8)) + f", {number}"


def write_table(folder: Path, kind: str, rows: int) -> Path:
    """Texts with a number and a label of two."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / f"texts.{kind}"
    schema = pa.schema([("text", pa.string()), ("number", pa.int64()), ("label", pa.string())])
    if kind == "parquet":
        with parquet.ParquetWriter(path, schema) as writer:
            for numbers in _blocks(rows):
                columns = [[text(n) for n in numbers], list(numbers), ["ab"[n % 2] for n in numbers]]
                writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema))
        return path
    with path.open("w", encoding="utf-8") as file:
        if kind == "csv":
            file.write("text,number,label\n")
        for numbers in _blocks(rows):
            lines = (
                f'"{text(n)}",{n},{"ab"[n % 2]}'
                if kind == "csv"
                else json.dumps({"text": text(n), "number": n, "label": "ab"[n % 2]})
                for n in numbers
            )
            file.write("".join(f"{line}\n" for line in lines))
    return path


def _blocks(rows: int) -> Iterator[range]:
    yield from (range(start, min(rows, start + _COMMIT)) for start in range(0, rows, _COMMIT))


def fill(path: Path, samples: Sequence[Sample], digest: object) -> None:
    """A store of every second sample. digest: of what a sample's model reads, None for none."""
    columns = () if digest is None else (INPUT_DIGEST,)
    stores.create_store(path, stores.Schema((_FIELD,), columns), {}, {}, "zarr")
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        for start in range(0, len(samples), 2 * _COMMIT):
            chosen = [samples[n] for n in range(start, min(len(samples), start + 2 * _COMMIT), 2)]
            names = [{"sample_id": sample.sample_id, "sample_index": sample.index} for sample in chosen]
            if callable(digest):
                for name, sample in zip(names, chosen, strict=True):
                    name[INPUT_DIGEST.name] = digest(sample)
            writer.append(stores.Records(names, {"hidden_last": np.zeros((len(names), 4), np.float32)}))


class Steps:
    """Prints what each step took."""

    def __init__(self, rows: int) -> None:
        self.rows, self.begun = rows, time.process_time()

    def __call__(self, step: str) -> None:
        seconds, peak = time.process_time() - self.begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        per_row = seconds / self.rows * 1e6
        print(
            f"{self.rows:>10,}  {step:<20} {seconds:8.2f} s CPU {per_row:7.3f} us a row {peak:8.0f} MiB peak",
            flush=True,
        )
        self.begun = time.process_time()


def measure(folder: Path, rows: int, table: Path | None, groups: bool) -> None:
    """Prints one line a step."""
    report = Steps(rows)
    samples: Sequence[Sample] = Numbered(rows)
    report("start")
    digest = None
    if table is not None:
        collector = collection(table)
        samples = collector.samples()
        report("read and tokenise")

        def digest(sample: Sample) -> str:
            return input_digest(collector.model_input(sample))

    batches = plan_batches(samples, 4_096, None)
    report("plan")
    path = folder / "store"
    fill(path, samples, digest)
    report("(store is written)")
    store = stores.open_store(path)
    assert len(store) == (rows + 1) // 2
    report("open")
    if table is not None:
        refuse_other_inputs(store, samples, collector.model_input)
        report("same inputs")
    done = committed(store, samples)
    report("committed")
    left = pending(batches, done)
    assert totals(samples, ~done).samples == rows // 2
    report("pending")
    for ranks in (1, 8, 64, 1024):
        assert len(share(left, ranks - 1, ranks)) <= len(left) // ranks * 2 + 1
        report(f"share of {ranks:,}")
    if groups:
        grouped(rows)
        report("groups of content")


def open_ranks(ranks: int) -> None:
    """A store of so many processes, of four commits each, opened and counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        stores.create_store(path, stores.Schema((_FIELD,), ()), {}, {}, "zarr")
        for rank in range(ranks):
            with stores.PartWriter(path, rank, 1, 1e9) as writer:
                for commit in range(4):
                    first = 50 * (4 * rank + commit)
                    names = [{"sample_id": f"s{n}", "sample_index": n} for n in range(first, first + 50)]
                    writer.append(stores.Records(names, {"hidden_last": np.zeros((50, 4), np.float32)}))
        begun, clock = time.process_time(), time.perf_counter()
        store = stores.open_store(path)
        opened = time.process_time() - begun
        assert len(store) == ranks * 200
        counted = time.process_time() - begun - opened
        wall = time.perf_counter() - clock
    print(
        f"{ranks:>6,} processes: opened in {opened:.2f} s CPU, rows ordered in {counted:.2f}; {wall:.2f} s by clock",
        flush=True,
    )


def collection(table: Path):
    """The collection of a table's texts by the embedded model, which keeps no states."""
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.cli.parser import resolve, select
    from lit_experiments.lm.spec import ModelSpec

    words = ["--exp", "activations", "--texts", str(table), "--text_column", "text", "--store_states", "false"]
    resolved = resolve("collect", select("collect", words))
    spec = ModelSpec("embedded", None, None, "float32", resolved.options["attn"])
    return import_class(resolved.class_path)(spec, **resolved.init_args)


def grouped(rows: int) -> None:
    """Copies and near copies among the texts, as a split looks for them."""
    from lit_experiments.sources.content_groups import Likeness, content_groups

    class Texts(Sequence[str]):
        def __len__(self) -> int:
            return rows

        def __getitem__(self, number: int) -> str:  # type: ignore[override]
            if number >= rows:
                raise IndexError(number)
            return text(number)

    content_groups(Texts(), Likeness(0.5, None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--tables", nargs="*", default=[None], choices=("csv", "parquet", "jsonl"))
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--ranks", type=int, nargs="*", default=[])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        measure(options.folder, options.rows[0], options.table, options.groups)
        return
    for ranks in options.ranks:
        open_ranks(ranks)
    for rows in [] if options.ranks else options.rows:
        for kind in options.tables:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "benchmarks.many_rows", "--rows", str(rows), "--folder", folder]
                command += ["--groups"] if options.groups else []
                if kind is not None:
                    print(f"{rows:>10,}  {kind}", flush=True)
                    command += ["--table", str(write_table(Path(folder), kind, rows))]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
