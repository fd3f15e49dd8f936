"""Probes of a text label side by side with lmprobe, probelab and scikit-learn by hand: user code, time, honesty.

    python benchmarks/probing_peers.py --treebank UD_English-EWT --model MODEL_FOLDER [--rounds 3]
    python benchmarks/probing_peers.py --texts my.csv --text_column body --label kind

Every tool gets the texts, the 0/1 labels and the model that the others get, and probes every layer at the last token in
float32; its script in peers/ is the shortest that its documentation leads to. The peers run in environments that this
script makes. Three conditions: the texts once; each five times, as in a table that was joined or scraped carelessly;
each five times with labels that were shuffled between the texts, where an honest AUROC is 0.5. Tools take turns; shown
are medians over rounds, of which each has its own order of texts and its own shuffled labels.

Seconds are those of the whole process, imports included, with warm files and without a cache of states. Ours, besides
probes by layer, contain the store, cross-validated penalties, intervals, 20 trainings with shuffled labels, controls
from the text, a random-weights twin and the page; "probes only" leaves out what options leave out (19 permutations).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.sources.records import open_records
from lit_experiments.sources.treebank import read_treebank

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).resolve().parent / "peers"
EMBEDDED = ROOT / "lit_experiments" / "embedded" / "model"
TORCH, TRANSFORMERS, LMPROBE, PROBELAB = "torch==2.13.0", "transformers==5.23.0", "lmprobe==0.10.3", "probelab==0.1.0"
PROBES_ONLY = {"shuffles": 0, "twin": False, "surface_model": "none", "permutations": 19}
GENRES = ("newsgroup", "reviews")
LONGEST = 600  # characters: every sentence fits the windows of small models
REPEATS = 5
HONESTY = re.compile(r"copies|copy of|duplicate|repeated|leak|group", re.IGNORECASE)
WARM_UP = 80  # texts


@dataclass(frozen=True)
class Tool:
    """script: in peers/. requirements: of an environment of its own, installed in this order; none runs in this one."""

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    options: str = "{}"


@dataclass(frozen=True)
class Text:
    """A text and its label, 0 or 1."""

    text: str
    label: int


@dataclass(frozen=True)
class Condition:
    """How the texts come: every one so many times, with its label or with another text's."""

    name: str
    repeats: int
    shuffled: bool


@dataclass(frozen=True)
class Measured:
    """seconds: of the process. auroc: held out, at the layer that is reported. statement: on copies and splits."""

    seconds: float
    auroc: float
    statement: str


OURS = Tool("ours", "ours.py")
TOOLS = (
    OURS,
    Tool("ours, probes only", "ours.py", options=json.dumps(PROBES_ONLY)),
    Tool("lmprobe 0.10.3", "lmprobe_sweep.py", (TORCH, TRANSFORMERS, LMPROBE)),
    Tool("probelab 0.1.0", "probelab_layers.py", (TORCH, TRANSFORMERS, PROBELAB)),
    Tool("transformers and scikit-learn", "by_hand.py"),
)
ONCE, REPEATED, NOISE = (
    Condition("once", 1, shuffled=False),
    Condition("repeated", REPEATS, shuffled=False),
    Condition("noise", REPEATS, shuffled=True),
)


def treebank_texts(folder: str) -> list[Text]:
    """Sentences of newsgroups (0) and reviews (1), by what the names of their documents begin with."""
    genres = [(sentence.text, sentence.doc_id.split("-")[0]) for sentence in read_treebank(folder).sentences]
    return [Text(text, GENRES.index(genre)) for text, genre in genres if genre in GENRES and len(text) <= LONGEST]


def table_texts(source: str, text_column: str, label: str) -> list[Text]:
    """Texts of any table; of its labels, the two commonest ones."""
    records = [(str(record[text_column]), str(record[label])) for _, record in open_records(source, "--texts")]
    classes = sorted(name for name, _ in Counter(value for _, value in records).most_common(2))
    return [Text(text, classes.index(value)) for text, value in records if value in classes]


def balanced(texts: Sequence[Text], count: int, seed: int) -> list[Text]:
    """Texts that differ, half of each label, in random order."""
    rng = random.Random(seed)
    distinct = list({text.text: text for text in texts}.values())
    rng.shuffle(distinct)
    chosen = [text for label in (0, 1) for text in [t for t in distinct if t.label == label][: count // 2]]
    rng.shuffle(chosen)
    return chosen


def under(condition: Condition, texts: Sequence[Text], seed: int) -> list[Text]:
    """The rows of a condition, in random order."""
    rng = random.Random(seed)
    labels = [text.label for text in texts]
    if condition.shuffled:
        rng.shuffle(labels)
    rows = [Text(text.text, label) for text, label in zip(texts, labels, strict=True)] * condition.repeats
    rng.shuffle(rows)
    return rows


def interpreter(tool: Tool, environments: Path) -> str:
    """The Python of a tool's environment, which is made where it is missing."""
    if not tool.requirements:
        return sys.executable
    folder = environments / tool.requirements[-1]
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        print(f"Installing {', '.join(tool.requirements)} into {folder} ...", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        # torch first and alone: what it was chosen for on this machine, CPU or CUDA, stays.
        for requirements in (tool.requirements[:1], tool.requirements):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        ready.touch()
    return str(python)


def measure(tool: Tool, python: str, rows: Sequence[Text], model: Path, threads: int) -> Measured:
    """Runs a tool's script in a folder of its own, where its caches and results stay, and are removed with it."""
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name) / "texts.jsonl"
        texts.write_text("".join(json.dumps(vars(row)) + "\n" for row in rows), encoding="utf-8")
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
            "LMPROBE_CACHE_DIR": str(Path(name) / "cache"),
            "PYTHONPATH": "" if tool.requirements else str(ROOT),
        }
        command = [python, str(SCRIPTS / tool.script), str(texts), str(model), tool.options]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=name, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{tool.name} ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    *printed, last = done.stdout.strip().splitlines()
    answer: dict[str, Any] = json.loads(last)
    lines = [line.strip() for line in [*printed, *done.stderr.splitlines()] if HONESTY.search(line)]
    return Measured(seconds, answer["scores"][answer["layer"]], answer["statement"] or "; ".join(lines) or "nothing")


def code_lines(script: Path) -> int:
    """Lines of a script that its user writes: without blanks, comments, docstrings and what talks to this driver."""
    source = script.read_text(encoding="utf-8")
    body = [node for node in ast.parse(source).body if not _is_ceremony(node)]
    taken = {number for node in body for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines = source.splitlines()
    return sum(bool(lines[number - 1].split("#")[0].strip()) for number in taken)


def _is_ceremony(node: ast.stmt) -> bool:
    """A docstring, the `__future__` import, and what runs the script for this driver."""
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return future or isinstance(node, ast.Expr | ast.If)


def table(results: dict[tuple[str, str], list[Measured]], texts: int) -> Iterator[str]:
    """Lines of a Markdown table: a tool each."""
    yield (
        f"| | lines of code | s, {texts:,} texts | s, {texts * REPEATS:,} rows | AUROC | repeated | repeated, labels "
        "of no meaning |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for tool in TOOLS:
        once, repeated, noise = (results[tool.name, condition.name] for condition in (ONCE, REPEATED, NOISE))
        cells = [tool.name, str(code_lines(SCRIPTS / tool.script))]
        for condition, runs in ((ONCE, once), (REPEATED, repeated)):
            # Ratios within rounds: what the machine does else changes from one to the next.
            ours = results[OURS.name, condition.name]
            ratio = statistics.median(run.seconds / our.seconds for run, our in zip(runs, ours, strict=True))
            seconds = statistics.median(run.seconds for run in runs)
            cells.append(f"{seconds:.1f}" if tool is OURS else f"{seconds:.1f} ({ratio:.2f})")
        cells += [f"{statistics.median(run.auroc for run in runs):.3f}" for runs in (once, repeated, noise)]
        yield f"| {' | '.join(cells)} |"


def compare(texts: Sequence[Text], options: argparse.Namespace) -> None:
    """Runs all tools in turn and prints the table, and what each says of repeated texts."""
    pythons = {tool.name: interpreter(tool, options.environments) for tool in TOOLS}
    for tool in TOOLS:
        measure(tool, pythons[tool.name], balanced(texts, WARM_UP, seed=0), options.model, options.threads)
    results: dict[tuple[str, str], list[Measured]] = {}
    for number in range(options.rounds):
        sample = balanced(texts, options.count, seed=number)
        for condition in (ONCE, REPEATED, NOISE):
            rows = under(condition, sample, seed=number)
            for tool in (*TOOLS[number % len(TOOLS) :], *TOOLS[: number % len(TOOLS)]):
                run = measure(tool, pythons[tool.name], rows, options.model, options.threads)
                results.setdefault((tool.name, condition.name), []).append(run)
                print(f"  round {number + 1}, {condition.name}, {tool.name}: {run}", file=sys.stderr, flush=True)
    print("\n".join(table(results, len(sample))))
    for condition in (REPEATED, NOISE):
        for tool in TOOLS:
            statements = [run.statement for run in results[tool.name, condition.name]]
            print(f"{condition.name}, {tool.name}: {' | '.join(statements)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--treebank", default="UD_English-EWT", help="folder of UD English EWT, without --texts")
    parser.add_argument("--texts", help="a table of your own")
    parser.add_argument("--text_column", default="text")
    parser.add_argument("--label", default="label", help="column of --texts; its two commonest values are compared")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="folder of a causal language model")
    parser.add_argument("--count", type=int, default=1000, help="texts, half of each label")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which medians are taken")
    parser.add_argument("--threads", type=int, default=2)
    default = Path(tempfile.gettempdir()) / "probing-peers"
    parser.add_argument("--environments", type=Path, default=default, help="where the peers' environments lie")
    options = parser.parse_args()
    options.model = options.model.resolve()
    if not options.texts and not Path(options.treebank).is_dir():
        print(f"Nothing measured: there is no folder {options.treebank}; give --treebank FOLDER or --texts FILE.")
        return
    if options.texts:
        compare(table_texts(options.texts, options.text_column, options.label), options)
    else:
        compare(treebank_texts(options.treebank), options)


if __name__ == "__main__":
    main()
