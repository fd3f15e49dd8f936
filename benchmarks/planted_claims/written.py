"""Claims as stores: of study 3, and of texts with labels for linear probes. Made with `stores` alone.

Owns: which columns there are. Does not know: how anything is trained.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stores
from benchmarks.planted_claims.claim import LETTERS, MIDPOINTS, Floats, Planted, PlantedClaim
from lit_experiments.experiments.introspection.schema import COLUMNS, make_schema
from stores import Column, Field, PartWriter, Records, Schema

TARGET = "label"
CONFIDENCE = "self_confidence"
_TWO_LEVELS = np.array([40.0, 77.5])
"""Percent that two classes become in study 3; more are the midpoints in their order."""
_FIRST_ID = 5
_MOST_IDS = 2000


def write_for_linear_probes(run: Path, claim: PlantedClaim) -> None:
    """A store with the column `label`; every second seed has states of two tokens a row, of which the last counts."""
    planted = claim.planted
    layers, rows, hidden = planted.states.shape
    by_token = claim.seed % 2 == 1
    ids = [_ids(text) for text in planted.texts]
    columns: dict[str, tuple[str, list[Any]]] = {
        "text": ("string", list(planted.texts)),
        "options": ("list<string>", [list(four) for four in planted.options]),
        "correct_answer_letter": ("string", list(planted.key)),
        "probs": ("list<float64>", planted.probs.tolist()),
        "input_ids": ("list<int64>", ids),
        TARGET: _labels(planted),
        **planted.columns,
    }
    if planted.group is not None:
        columns["doc_id"] = ("string", list(planted.group))
    columns = {name: values for name, values in columns.items() if name not in planted.without}
    dims, dim = ("layer", "token" if by_token else "sample", "hidden"), "token" if by_token else None
    fields = (Field("hidden_states", dims, (layers, None, hidden), planted.dtype, "", "states"),)
    schema = Schema(
        fields, tuple(Column(name, kind, "") for name, (kind, _) in columns.items()), {"layer": _sites(layers)}
    )
    states = _with_first_token(planted.states, claim.seed) if by_token else planted.states
    lengths = {} if dim is None else {dim: np.full(rows, 2)}
    table = [{name: values[i] for name, (_, values) in columns.items()} for i in range(rows)]
    half = planted.dtype == "float16"
    exponents = {"hidden_states": np.zeros(states.shape[:-1], np.int8)} if half else {}
    _write(run, schema, table, {"hidden_states": states.astype(planted.dtype)}, lengths, exponents)


def write_for_introspection(run: Path, claim: PlantedClaim) -> None:
    """A store of study 3 with the pass self_confidence; its expected confidence is the target, in percent."""
    planted = claim.planted
    layers, rows, hidden = planted.states.shape
    probs = planted.probs
    states = _with_first_token(planted.states, claim.seed)
    arrays = {
        "resid_post": states.astype(np.float16),
        "letter_logits": np.log(probs).reshape(-1).astype(np.float32),
        "letter_probs": probs.reshape(-1),
    }
    lengths = {"token": np.full(rows, 2), "choice": np.full(rows, probs.shape[1])}
    exponents = {"resid_post": np.zeros((layers, 2 * rows), np.int8)}
    confidence = _percent(planted.target, planted.classes)
    table = [_question(claim, i, None if np.isnan(value) else value) for i, value in enumerate(confidence.tolist())]
    _write(run, make_schema(_sites(layers), hidden), table, arrays, lengths, exponents)


def _question(claim: PlantedClaim, i: int, confidence: float | None) -> dict[str, Any]:
    planted = claim.planted
    text, four, probs = planted.texts[i], list(planted.options[i]), planted.probs[i]
    shown = "\n".join(f"{letter}) {option}" for letter, option in zip("ABCD", four, strict=True))
    prompt = f"{text}\n{shown}\nHow likely are you to answer this correctly?"
    ids = _ids(prompt)
    best = LETTERS[int(probs.argmax())]
    return {column.name: None for column in COLUMNS} | {
        "question_id": f"q{i}",
        "question_text": text,
        "options": four,
        "correct_answer_letter": planted.key[i],
        "subject": None if planted.group is None else planted.group[i],
        "model_name": "planted",
        "checkpoint_id": "planted",
        "prompt_type": CONFIDENCE,
        "prompt_text": prompt,
        "input_ids": ids,
        "positions": [len(ids) - 2, len(ids) - 1],
        "answer_position": len(ids) - 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_new_tokens": 1,
        "output_text": best,
        "parsed_answer": best,
        "answer_source": "text",
        "letters": list(LETTERS),
        "logits": np.log(probs).tolist(),
        "probs": probs.tolist(),
        "entropy": float(-(probs * np.log(probs)).sum()),
        "outside_mass": 0.01,
        CONFIDENCE: confidence,
        "char_length": len(text),
        "token_length": len(_ids(text)),
        "question_type": "other",
        "has_negation": False,
        "has_ambiguity": False,
        "token_rarity_mean": float(np.mean(ids)) / _MOST_IDS,
        "token_rarity_max": float(np.max(ids)) / _MOST_IDS,
    }


def _percent(target: Floats, classes: bool) -> Floats:
    """The target as a confidence: the shape stays, the units are percent."""
    if classes:
        return (_TWO_LEVELS if target.max() < 2 else MIDPOINTS)[target.astype(np.int64)]
    return np.asarray(50 + 15 * (target - np.nanmean(target)) / np.nanstd(target))


def _labels(planted: Planted) -> tuple[str, list[Any]]:
    """The column of labels: its type and values, None for those that are missing."""
    known = ~np.isnan(planted.target)
    shown = [f"c{code:g}" for code in planted.target] if planted.classes else planted.target.tolist()
    values = [value if there else None for value, there in zip(shown, known, strict=True)]
    return "string" if planted.classes else "float64", values


def _ids(text: str) -> list[int]:
    """A token per word; a word has the same id everywhere."""
    return [1, *(_FIRST_ID + zlib.crc32(word.encode()) % (_MOST_IDS - _FIRST_ID) for word in text.split())]


def _sites(layers: int) -> list[str]:
    return [f"resid_post.{layer}" for layer in range(layers)]


def _with_first_token(states: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """[layer, 2 row, hidden]: before every row's state one of another token, which means nothing."""
    layers, rows, hidden = states.shape
    before = np.random.default_rng(seed).normal(0, 3, states.shape)
    return np.stack([before, states], 2).reshape(layers, 2 * rows, hidden).astype(np.float32)


def _write(
    run: Path,
    schema: Schema,
    table: list[dict[str, Any]],
    arrays: dict[str, NDArray[Any]],
    lengths: dict[str, NDArray[Any]],
    exponents: dict[str, NDArray[np.int8]],
) -> None:
    stores.create_store(run / "store", schema, {"settings": {"made": "planted claim"}}, {}, "zarr")
    rows = [{"sample_id": f"s{i:05d}", "sample_index": i, **row} for i, row in enumerate(table)]
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        writer.append(Records(rows, arrays, lengths, exponents))
