"""Peak memory of every step of every pipeline on a run of some rows and on one of eight times as many.

    python -m benchmarks.memory_by_task [--only PIPELINE ...] [--dir FOLDER]

Each step is the command that `lit-experiments run` gives, in a process of its own, with the embedded model. Intervals
and shuffles are few: how many there are is no matter of rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.memory_by_verb import FACTOR, peak
from lit_experiments import embedded
from lit_experiments.cli.pipeline_commands import given_to, plan
from lit_experiments.cli.pipeline_file import read_pipeline

_LIGHT = {"bootstraps": 100, "accelerator": "cpu"}


@dataclass(frozen=True)
class Growing:
    """A pipeline. rows: options that say how many rows there are, at 1 x; others: of all steps that know them
    ({folder}: that of one size); of_step: of single ones."""

    pipeline: str
    rows: dict[str, int]
    others: dict[str, Any] = field(default_factory=dict)
    of_step: dict[str, dict[str, Any]] = field(default_factory=dict)

    def commands(self, scale: int, folder: Path) -> Iterator[tuple[str, list[str]]]:
        """(name of the step, its words) for `scale` times the rows."""
        config = folder / "pipeline.yaml"
        grown = {name: rows * scale for name, rows in self.rows.items()}
        options = {"shared": {**_LIGHT, **self.others, **grown}, "options": self.of_step}
        config.write_text(json.dumps(options).replace("{folder}", str(folder)))
        pipeline = read_pipeline(self.pipeline, str(config))
        given = given_to(pipeline, {"run": [f"--run={folder / self.pipeline}"]})
        for planned in plan(pipeline, given):
            if planned.command is not None:
                suffix = Path(planned.folder).name.removeprefix(self.pipeline)
                yield f"{planned.step.verb} {planned.step.exp} {suffix}".strip(), planned.command


PIPELINES = [
    Growing("probe", {"limit": 60}, {"shuffles": 19, "twins": 1}),
    Growing("tempnorm", {"limit": 40}, {"gen_number": 4, "shuffles": 19, "twins": 1}),
    Growing("prefill_dynamics", {"limit": 6}),
    Growing("geometry", {"num_problems": 3}, {"completions": 4, "max_new_tokens": 48}),
    Growing(
        "pos",
        {"max_prefixes": 12},
        {"treebank": "{folder}/treebank", "document_from": "sent_id", "num_samples": 16},
        {"pos_probe": {"folds": 2, "shuffles": 0}},
    ),
    Growing("introspection", {"num_questions": 30}, {"shuffles": 19, "permutations": 240, "twins": 1}),
]


def write_treebank(folder: Path, scale: int) -> None:
    """The embedded treebank's sentences, of which every one but for `scale` of eight is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((Path(embedded.__file__).parent / "data" / "treebank").glob("*.conllu")):
        sentences = file.read_text(encoding="utf-8").strip().split("\n\n")
        kept = [sentence for place, sentence in enumerate(sentences) if place % FACTOR < scale]
        (folder / file.name).write_text("\n\n".join(kept) + "\n\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [growing.pipeline for growing in PIPELINES]
    parser.add_argument("--only", nargs="*", default=names, choices=names, metavar="PIPELINE", help=", ".join(names))
    parser.add_argument("--dir", type=Path, default=None)
    words = parser.parse_args()
    folder = words.dir or Path(tempfile.mkdtemp())
    print(f"{'':<52} {'1 x':>10} {f'{FACTOR} x':>10}", flush=True)
    for growing in PIPELINES:
        if growing.pipeline not in words.only:
            continue
        sizes = [folder / f"{scale}x" for scale in (1, FACTOR)]
        for scale, size in zip((1, FACTOR), sizes, strict=True):
            write_treebank(size / "treebank", scale)
        steps = [growing.commands(scale, size) for scale, size in zip((1, FACTOR), sizes, strict=True)]
        for (name, few), (_, many) in zip(*steps, strict=True):
            small, large = peak(name, few, sizes[0]), peak(name, many, sizes[1])
            print(f"{growing.pipeline + ': ' + name:<52} {small / 1e6:>7.0f} MB {large / 1e6:>7.0f} MB", flush=True)


if __name__ == "__main__":
    main()
