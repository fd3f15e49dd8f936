"""Stores of study 2 whose trajectories and surprise are known, made without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stores
from lit_experiments.experiments.prefill_dynamics.paragraph_split import Counts
from lit_experiments.experiments.prefill_dynamics.read import COLUMNS, make_schema

Floats = NDArray[np.float64]
LAYERS, HIDDEN, PROMPT = 2, 16, 3
_COLLECTOR = "lit_experiments.experiments.prefill_dynamics.collect.PrefillDynamicsCollector"


@dataclass(frozen=True)
class Text:
    """Continuation: states [layer, token, hidden], cross-entropies [token] (the prompt has ones), token ids (or all
    different)."""

    states: Floats
    ce: Floats
    ids: tuple[int, ...] | None = None

    @property
    def tokens(self) -> int:
        return len(self.ce)


def walk(tokens: int, step: float, seed: int, level: float = 0.0) -> Floats:
    """[layer, token, hidden] independent states around `level`: steps are about `step` long at every layer."""
    rng = np.random.default_rng(seed)
    return level + step / np.sqrt(2 * HIDDEN) * rng.normal(size=(LAYERS, tokens, HIDDEN))


def write_store(
    run: Path, texts: Mapping[str, list[Text]], reader: str = "planted", generations: str | None = None
) -> None:
    """texts: condition -> one per paragraph, all lists as long."""
    number = len(next(iter(texts.values())))
    counts = {**vars(Counts()), "paragraphs": number + 2, "usable": number, "chosen": number, "too_short": 2}
    settings = {"generations": generations, "paragraph_counts": counts, "max_new_tokens": 9}
    schema = make_schema([f"resid_post.{i}" for i in range(LAYERS)], HIDDEN)
    provenance = {"config": {"class_path": _COLLECTOR, "options": {"model": "planted"}}}
    stores.create_store(run / "store", schema, {"settings": settings, "reader": reader}, provenance, "zarr")
    with stores.PartWriter(run / "store", 0, 10**9, 60) as writer:
        for paragraph in range(number):
            for at, (condition, of_condition) in enumerate(texts.items()):
                index = paragraph * len(texts) + at
                text = of_condition[paragraph]
                writer.append(_records(_row(condition, paragraph, index, text, reader), text))


def _records(row: dict[str, Any], text: Text) -> stores.Records:
    arrays = {"resid_post": text.states.astype(np.float32), "ce": np.append(np.ones(PROMPT - 1), text.ce)}
    arrays["ce"] = arrays["ce"].astype(np.float32)
    lengths = {"token": np.array([text.tokens]), "predicted": np.array([PROMPT - 1 + text.tokens])}
    return stores.Records([row], arrays, lengths)


def _row(condition: str, paragraph: int, index: int, text: Text, reader: str) -> dict[str, Any]:
    tokens = PROMPT + text.tokens
    return {column.name: None for column in COLUMNS} | {
        "sample_id": f"p{paragraph}/{condition}",
        "sample_index": index,
        "paragraph_id": f"p{paragraph}",
        "condition": condition,
        "prompt": "It begins.",
        "continuation": " and goes on",
        "input_ids": list(range(tokens)) if text.ids is None else [*range(1000, 1000 + PROMPT), *text.ids],
        "tokens": [f" t{i}" for i in range(tokens)],
        "boundary": PROMPT,
        "straddles": False,
        "continuation_length": text.tokens,
        "first_state": PROMPT,
        "temperature": 0.0 if condition == "model" else None,
        "stop_reason": "max_new_tokens" if condition == "model" else None,
        "read_as": "ids",
        "reader": reader,
        "generator": "planted",
    }
