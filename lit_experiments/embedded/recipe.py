"""The recipe of the embedded model: every number that shapes it, read from one YAML file.

Owns: the closed set of settings and their checks. Does not know: what is done with them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent / "recipe.yaml"


class EmbeddedError(ValueError):
    """A mistake of the user in building the embedded model; the message says what, where and what to do."""

    exit_code = 2


@dataclass(frozen=True)
class Training:
    """Optimisation: see recipe.yaml for what each number means."""

    epochs: int
    rows_per_step: int
    muon_learning_rate: float
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    residual_dropout: float
    gradient_clip: float
    compute_dtype: str
    threads: int


@dataclass(frozen=True)
class AdapterTraining:
    """The LoRA adapter's shape and optimisation: see recipe.yaml."""

    rank: int
    modules: list[str]
    first_layer: int
    epochs: int
    batch: int
    learning_rate: float
    warmup_steps: int
    dropout: float


@dataclass(frozen=True)
class Sizes:
    """How much the report measures: see recipe.yaml."""

    problems: int
    temperature: float
    shuffled_min_tokens: int
    resamples: int
    batch: int
    seed: int


@dataclass(frozen=True)
class Recipe:
    """All settings of one model."""

    seed: int
    vocab_size: int
    window: int
    architecture: dict[str, Any]
    piece_chars: int
    arithmetic_per_epoch: int
    question_repeats: dict[str, int]
    training: Training
    adapter: AdapterTraining
    report: Sizes


def _closed(kind: type, values: Any, where: str) -> dict[str, Any]:
    """Check that the keys of `values` are exactly the fields of `kind`."""
    if not isinstance(values, dict):
        raise EmbeddedError(f"{where}: found {type(values).__name__}, expected keys and values")
    known = {field.name for field in fields(kind)}
    unknown, missing = sorted(values.keys() - known), sorted(known - values.keys())
    if unknown or missing:
        raise EmbeddedError(f"{where}: unknown keys {unknown}, missing keys {missing}; compare with {SHIPPED}")
    return values


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises EmbeddedError naming the file and the key that doesn't fit."""
    if not path.is_file():
        raise EmbeddedError(f"recipe {path}: no such file; the shipped one is {SHIPPED}")
    values = dict(_closed(Recipe, yaml.safe_load(path.read_text(encoding="utf-8")), str(path)))
    values["training"] = Training(**_closed(Training, values["training"], f"{path}: training"))
    values["adapter"] = AdapterTraining(**_closed(AdapterTraining, values["adapter"], f"{path}: adapter"))
    values["report"] = Sizes(**_closed(Sizes, values["report"], f"{path}: report"))
    return Recipe(**values)
