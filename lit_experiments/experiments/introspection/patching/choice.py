"""What is intervened on: the model that was collected from, directions, questions, pairs. Knows no interventions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import (
    OTHER,
    SELF,
    NothingToCompare,
    finished,
    layer_names,
    passes,
)
from lit_experiments.experiments.introspection.prompts import letters_of
from lit_experiments.lm.info import read_info
from lit_experiments.lm.letters import resolve_letters
from lit_experiments.lm.load import load
from lit_experiments.lm.model import LanguageModel
from lit_experiments.tasks.recorded_model import recorded_spec
from stores import Store, fingerprint_difference

Floats = NDArray[np.float64]
DIRECTION_OF = {"mcq": SELF, SELF: SELF, OTHER: OTHER}  # which confidence's direction acts on which pass
_RESULTS = "introspection_directions"
_LEAST_GAP = 1e-3  # percent; below this, confidences differ by the model's rounding
_FEWEST = 4


@dataclass(frozen=True)
class Directions:
    """What introspection_directions saved: sites, and by confidence pass `vectors` [layer, hidden] and `spread`."""

    sites: list[str]
    vectors: dict[str, Floats]
    spread: dict[str, Floats]


@dataclass(frozen=True)
class Prompts:
    """Prompts of one pass, as the model read them, one question each.

    ids: token ids; spellings: each letter's tokens; key: [N] index of the right letter, -1 where there is none;
    logits: [N, letter] as collected.
    """

    kind: str
    questions: NDArray[np.str_]
    ids: list[list[int]]
    spellings: list[list[list[int]]]
    key: NDArray[np.int64]
    logits: Floats


@dataclass(frozen=True)
class Choice:
    """Of one pass: a sample of questions to steer, and pairs to patch: low confidence, high, and low again."""

    sample: Prompts
    recipients: Prompts
    donors: Prompts
    controls: Prompts


def open_directions(run: Path, store: Store) -> tuple[Directions, str]:
    """The directions of this very store, and a hash of them.

    Raises:
        UserError: there are none, or they were made of another store.
    """
    file = finished(run, "analyze", _RESULTS, ["directions.safetensors"], store) / "directions.safetensors"
    tensors = load_file(file)
    kinds = [name.partition(".")[0] for name in tensors if name.endswith(".direction")]
    vectors = {kind: tensors[f"{kind}.direction"].astype(np.float64) for kind in kinds}
    spread = {kind: tensors[f"{kind}.spread"].astype(np.float64) for kind in kinds}
    sites = layer_names(store)
    return Directions(sites, vectors, spread), hashlib.sha256(file.read_bytes()).hexdigest()


def chosen_sites(requested: list[str] | None, sites: Sequence[str]) -> list[str]:
    """The sites to intervene at, in the store's order. Raises UserError for one that the store does not hold."""
    unknown = [name for name in requested or [] if name not in sites]
    if unknown or requested == []:
        raise UserError(
            f"layers must name sites of the store, found {requested}.\nAllowed: {', '.join(sites)}, or null."
        )
    return [name for name in sites if requested is None or name in requested]


def load_model(store: Store, model: str | None, device: Literal["auto", "cpu", "cuda"]) -> LanguageModel:
    """The model that the store was collected from, with its adapter, precision and attention.

    Args:
        model: Where it lies now; null takes what the collection was given.

    Raises:
        UserError: the store does not say which, it is another model now, or there is no such device.
    """
    options = store.provenance.get("config", {}).get("options", {})
    known = store.fingerprint.get("model", {})
    if "model" not in options or "dtype" not in known:
        raise UserError(f"{store.path} does not say which model it was collected from, so none can be intervened on.")
    spec = recorded_spec(options, known)
    spec = spec if model is None else replace(spec, model=model)
    info = read_info(spec)
    different = fingerprint_difference(known, json.loads(json.dumps(info.fingerprint())))
    if different:
        shown = "\n".join(f"  {key}: collected {then}, found {now}" for key, then, now in different)
        raise UserError(
            f"{info.name} is not the model that {store.path} was collected from:\n{shown}\n"
            "Next: --model PATH_OR_ID of that model, or collect again from this one."
        )
    return load(spec, _device(device))


def _device(device: str) -> torch.device:
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("--device cuda: this machine has no GPU that PyTorch can use. Next: --device cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def choose(
    store: Store, lm: LanguageModel, questions: int, pairs: int, seed: int
) -> tuple[dict[str, Choice], list[str]]:
    """What is asked in each pass, and a statement for each pass that cannot be intervened on.

    The same questions in all passes: a random sample, and the pairs by self-confidence (other passes: by theirs).
    """
    rows = passes(store)
    texts = store.to_pandas(["prompt_text", "input_ids", "logits"])
    common = sorted(set.intersection(*(set(of_pass.index) for of_pass in rows.values())))
    rng = np.random.default_rng(seed)
    picked = sorted(rng.choice(common, min(questions, len(common)), replace=False)) if common else []
    choices, statements = {}, []
    for kind, of_pass in rows.items():
        try:
            low, high = _pairs(kind, rows, pairs, np.random.default_rng([seed, 1]))
        except NothingToCompare as reason:
            statements.append(f"{kind}: {reason}")
            continue
        sides = [_prompts(lm, kind, of_pass.loc[list(ids)], texts) for ids in (picked, low, high, np.roll(low, -1))]
        choices[kind] = Choice(*sides)
    return choices, statements


def _pairs(
    kind: str, rows: dict[str, pd.DataFrame], pairs: int, rng: np.random.Generator
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Question ids of least confidence, in order, and as many of most, each low one's partner by chance."""
    stated = DIRECTION_OF[kind]
    if stated not in rows:
        raise NothingToCompare(f"the store holds no {stated} pass, so no question is of high or low confidence.")
    confidence = rows[stated][stated].loc[rows[stated].index.intersection(rows[kind].index)].dropna()
    confidence = confidence.sort_values(kind="stable")
    n = min(pairs, len(confidence) // 3)
    if n < _FEWEST:
        raise NothingToCompare(
            f"{len(confidence)} questions are too few for {_FEWEST} pairs of low and high confidence."
        )
    if confidence.iloc[-n] - confidence.iloc[n - 1] < _LEAST_GAP:
        raise NothingToCompare(
            f"confidence hardly varies over its {len(confidence)} questions ({confidence.iloc[0]:.3f} to "
            f"{confidence.iloc[-1]:.3f} %), so none is high or low."
        )
    index = confidence.index.to_numpy()
    return index[:n], rng.permutation(index[-n:])


def _prompts(lm: LanguageModel, kind: str, rows: pd.DataFrame, texts: pd.DataFrame) -> Prompts:
    texts_of = texts.iloc[rows["row"].to_numpy()]
    ids = [[int(token) for token in row] for row in texts_of.input_ids]
    letters = letters_of(kind)
    keys = [letters.find(letter) if kind == "mcq" else -1 for letter in rows.correct_answer_letter]
    return Prompts(
        kind=kind,
        questions=rows.index.to_numpy().astype(str),
        ids=ids,
        spellings=[
            resolve_letters(lm.info.tokens, text, row, letters)
            for text, row in zip(texts_of.prompt_text, ids, strict=True)
        ],
        key=np.array(keys, np.int64),
        logits=np.stack([np.asarray(row, np.float64) for row in texts_of.logits]),
    )
