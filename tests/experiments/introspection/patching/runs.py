"""Runs of the planted model that the tests of the interventions share, and what they came to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.cli import main
from lit_experiments.experiments.introspection.patching.choice import Prompts
from lit_experiments.experiments.introspection.patching.passes import MEASURES, Bench, groups
from lit_experiments.experiments.introspection.prompts import MIDPOINTS
from lit_experiments.lm.model import LanguageModel

SELF = "self_confidence"
SITES = [f"resid_post.{layer}" for layer in range(3)]
ENOUGH = "61"  # random directions: p can fall to 3/62 after correction over three layers
Floats = NDArray[np.float64]


def analyze(run: Path, *options: str, randoms: str = ENOUGH) -> int:
    few = ["--questions", "24", "--pairs", "8", "--bootstraps", "200", "--flips", "500", "--device", "cpu"]
    argv = ["analyze", "--exp", "introspection_patching", "--run", str(run), *few, "--random_directions", randoms]
    return main([*argv, *options])


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "introspection_patching" / "result.json").read_text())
    return content


def layers(run: Path, kind: str, intervention: str, measure: str) -> list[dict[str, Any]]:
    return [layer[intervention][measure] for layer in result(run)["passes"][kind]["layers"]]


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))


def bench_of(lm: LanguageModel, prompts: Prompts, together: int = 4) -> Bench:
    return Bench(lm, prompts, groups([len(ids) for ids in prompts.ids], 10**6), together)


def column(changes: Floats, measure: str) -> Floats:
    return np.asarray(changes[..., MEASURES.index(measure)])


def expected(along: Floats) -> Floats:
    """Expected confidence of the planted model from the answer state's component along READ, by hand."""
    logits = 0.12 * np.outer(along, np.arange(8) - 3.5)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.asarray(probs @ np.array(MIDPOINTS))
