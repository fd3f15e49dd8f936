"""Peak memory of every verb on a store of some rows and on one of eight times as many, each in a process of its own.

    python -m benchmarks.memory_by_verb [--texts 1000] [--contexts 48] [--only WORD ...] [--dir FOLDER]

Two collections of the embedded model: states of short labelled texts (read), and continuations of contexts with their
tempered norms (written). What must not grow with rows: the difference of the two peaks is printed, and what it comes to
for each row that is more. A process that has imported PyTorch holds some 400 MB before it does anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

FACTOR = 8
_TOPICS = ("rivers run to the sea", "engines turn a heavy wheel", "birds sing in the wood", "prices rise in the spring")
_EXPORTS = ("jsonl", "npy", "safetensors", "parquet", "zarr", "hdf5")
_LIGHT = ("--bootstraps", "50", "--shuffles", "19", "--folds", "2", "--twin", "false")


@dataclass(frozen=True)
class Case:
    """A command. words: {size} is the folder of one size; run: of the collection it reads or makes."""

    name: str
    run: str
    words: tuple[str, ...]

    def command(self, size: Path) -> list[str]:
        """Its words for a folder."""
        return [word.replace("{size}", str(size)) for word in self.words]


def cases() -> list[Case]:
    """In the order in which they follow from each other."""
    texts, contexts = "{size}/texts", "{size}/contexts"
    plain = ("--accelerator", "cpu", "--exp")
    labelled = ("--texts", "{size}/texts.csv", "--text_column", "text", "--label_columns", "[kind]")
    short = ("--gen_number", "2", "--gen_length", "8", "--eval_lengths", "[1, 8]")
    listed = [
        Case("collect activations", texts, ("collect", *plain, "activations", *labelled, "--run", texts)),
        Case(
            "collect tempnorm",
            contexts,
            ("collect", *plain, "tempnorm", "--contexts", "{size}/contexts.txt", *short, "--run", contexts),
        ),
        Case("inspect", texts, ("inspect", texts)),
        Case("verify", texts, ("verify", texts)),
        Case("certificate", texts, ("certificate", texts)),
    ]
    exports = [(format, ()) for format in _EXPORTS] + [("npy", ("--pad", pad)) for pad in ("left", "none")]
    for format, options in exports:
        name = " ".join(("export", format, *options))
        out = "{size}/" + name.replace(" ", "-")
        listed.append(Case(name, texts, ("export", texts, "--format", format, *options, "--out", out)))
    return [
        *listed,
        Case("merge", texts, ("merge", texts, "--out", "{size}/merged")),
        Case(
            "train linear_probes",
            texts,
            ("train", *plain, "linear_probes", "--target", "kind", "--run", texts, *_LIGHT),
        ),
        Case("train tempnorm_ridge", contexts, ("train", *plain, "tempnorm_ridge", "--run", contexts, *_LIGHT)),
        Case("audit", contexts, ("audit", contexts)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000, help="rows of the smaller store of texts")
    parser.add_argument("--contexts", type=int, default=48, help="rows of the smaller store of contexts")
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD", help="cases whose names hold a word")
    parser.add_argument("--dir", type=Path, default=None)
    words = parser.parse_args()
    folder = words.dir or Path(tempfile.mkdtemp())
    counts = {"texts": words.texts, "contexts": words.contexts}
    sizes = {scale: folder / f"{scale}x" for scale in (1, FACTOR)}
    for scale, size in sizes.items():
        write_inputs(size, scale * words.texts, scale * words.contexts)
    print(f"{'':<26} {'rows':>7} {'1 x':>10} {f'{FACTOR} x':>10} {'a row':>12}", flush=True)
    for case in cases():
        if not any(word in case.name for word in words.only):
            continue
        small, large = (peak(case.name, case.command(size), size) for size in sizes.values())
        rows = counts[case.run.rpartition("/")[2]]
        grown = (large - small) / (rows * (FACTOR - 1))
        mb = 1e6
        print(f"{case.name:<26} {rows:>7,} {small / mb:>7.0f} MB {large / mb:>7.0f} MB {grown:>10,.0f} B", flush=True)


def write_inputs(size: Path, texts: int, contexts: int) -> None:
    """texts.csv, with two kinds of short texts that are all different, and contexts.txt."""
    size.mkdir(parents=True, exist_ok=True)
    lines = ["text,kind"]
    for number in range(texts):
        topic = number % 2
        lines.append(f"{_TOPICS[topic]} {number} {_TOPICS[2 + number % 3 % 2]},{('water', 'machine')[topic]}")
    (size / "texts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spoken = [f"Tale {number} of {_TOPICS[number % 4]}, and {_TOPICS[number // 4 % 4]}" for number in range(contexts)]
    (size / "contexts.txt").write_text("\n".join(spoken) + "\n", encoding="utf-8")


def peak(name: str, words: list[str], folder: Path) -> int:
    """Most bytes that a command had in memory. Raises RuntimeError with what it wrote if it fails."""
    log = folder / "log.txt"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "lit_experiments.cli", *words]
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name}: {log.read_text()[-2000:]}")
    return used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
