"""Runs whole pipelines at small sizes and reads every number of their results.

    python -m tests.golden.pipelines [NAME ...]

writes the golden files anew, or the named ones, after a change that is meant to change numbers; say in its message
which, and why.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from lit_experiments.cli import main
from lit_experiments.cli.pipeline_commands import given_to, plan
from lit_experiments.cli.pipeline_file import choose, read_pipeline
from lit_experiments.errors import EXIT_DONE

FOLDER = Path(__file__).parent
STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K-hf"
_DIGITS = 7


@dataclass(frozen=True)
class Golden:
    """One pipeline with one model. options: of all steps that know them; of_step: of single ones; steps: which;
    adapter_option: the option that names an adapter, which is made for the model."""

    pipeline: str
    model: str = "embedded"
    options: dict[str, Any] = field(default_factory=dict)
    of_step: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: str | None = None
    adapter_option: str | None = None

    @property
    def name(self) -> str:
        return f"{self.pipeline}-{Path(self.model).name}"

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json.gz"


_FEW = {"bootstraps": 60}
_INTROSPECTION = {**_FEW, "permutations": 240, "shuffles": 19, "positions": "answer", "twin": False}
_TARGETS = ["mcq.entropy", "mcq.correctness", "self_confidence.self_confidence", "other_confidence.other_confidence"]
_PATCHING = {"questions": 6, "pairs": 4, "multiples": [-2, 2], "random_directions": 19, "replacements": 1, "flips": 200}
_GEOMETRY = {**_FEW, "num_problems": 3, "completions": 3, "max_new_tokens": 40}
GOLDEN = [
    Golden("tempnorm", options={**_FEW, "limit": 60, "gen_number": 4, "shuffles": 19}),
    Golden("prefill_dynamics", options={**_FEW, "limit": 8}),
    Golden("geometry", options=_GEOMETRY),
    Golden(
        "pos",
        options=_FEW,
        of_step={
            "pos_probe": {"penalties": [1e-2, 1e-1], "folds": 2, "shuffles": 0},
            "pos_resample": {"max_prefixes": 12, "num_samples": 8},
        },
    ),
    Golden(
        "introspection",
        options={**_INTROSPECTION, "num_questions": 40},
        of_step={"introspection_probes": {"targets": _TARGETS}, "introspection_patching": _PATCHING},
        steps="1-9,15",
    ),
    Golden("tempnorm", str(STORIES), {**_FEW, "limit": 40, "gen_number": 4, "shuffles": 19}),
    Golden("geometry", str(STORIES), {**_GEOMETRY, "num_problems": 2}),
    Golden(
        "prefill_dynamics",
        str(STORIES),
        {**_FEW, "limit": 6, "reader": str(STORIES)},
        adapter_option="reader_adapter",
    ),
    Golden(
        "pos",
        str(STORIES),
        _FEW,
        of_step={
            "pos_probe": {"penalties": [1e-2, 1e-1], "folds": 2, "shuffles": 0},
            "pos_resample": {"max_prefixes": 12, "num_samples": 8},
        },
    ),
    Golden(
        "introspection",
        str(STORIES),
        {**_INTROSPECTION, "num_questions": 40},
        of_step={"introspection_probes": {"targets": _TARGETS}, "introspection_patching": _PATCHING},
        steps="1-9,15",
        adapter_option="adapter",
    ),
]


def write_adapter(model: str, folder: Path) -> str:
    """A LoRA adapter with random weights on the last two blocks' attention; returns the folder's name."""
    base = AutoModelForCausalLM.from_pretrained(model)
    last = base.config.num_hidden_layers - 1
    config = LoraConfig(
        r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", layers_to_transform=[last - 1, last]
    )
    adapted = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    adapted.save_pretrained(folder)
    return str(folder)


def run(golden: Golden, folder: Path) -> dict[str, Any]:
    """Result of every train and analyze step, by the step's folder and name.

    Raises:
        AssertionError: a step ended with another code than 0.
    """
    config = folder / "pipeline.yaml"
    shared = {**golden.options, **({} if golden.model == "embedded" else {"model": golden.model})}
    if golden.adapter_option is not None:
        shared[golden.adapter_option] = write_adapter(golden.model, folder / "adapter")
    config.write_text(json.dumps({"shared": shared, "options": golden.of_step}))
    pipeline = read_pipeline(golden.pipeline, str(config))
    given = given_to(pipeline, {"run": [f"--run={folder / golden.pipeline}"]})
    steps = choose(pipeline, golden.steps)
    results = {}
    for planned in plan(pipeline, given):
        if planned.step not in steps or planned.command is None:
            continue
        code = main(planned.command)
        assert code == EXIT_DONE, f"{' '.join(planned.command)} ended with code {code}"
        if planned.step.verb != "collect":
            path = Path(planned.folder) / planned.step.exp / "result.json"
            results[f"{Path(planned.folder).name}/{planned.step.exp}"] = json.loads(path.read_text(encoding="utf-8"))
    return results


def read(golden: Golden) -> dict[str, float]:
    """The golden numbers, by their path in the results."""
    with gzip.open(golden.file, "rt", encoding="utf-8") as file:
        return {path: math.nan if value is None else value for path, value in json.load(file).items()}


def numbers(results: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """(path, number) of everything in a result that is a number or absent; texts and times are left out."""
    if isinstance(results, dict):
        for key, value in results.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(results, list):
        for index, value in enumerate(results):
            yield from numbers(value, f"{path}/{index}")
    elif results is None:
        yield path, math.nan
    elif isinstance(results, int | float):
        yield path, float(results)


def write(golden: Golden, values: dict[str, float]) -> None:
    """Writes a golden file, the same bytes for the same numbers."""
    rounded = {path: None if math.isnan(value) else float(f"{value:.{_DIGITS}g}") for path, value in values.items()}
    text = json.dumps(rounded, separators=(",", ":"))
    golden.file.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    for golden in GOLDEN:
        if sys.argv[1:] and golden.name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write(golden, dict(numbers(run(golden, Path(folder)))))
