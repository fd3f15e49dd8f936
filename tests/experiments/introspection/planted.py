"""Stores of study 3 whose states are known, made without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stores
from lit_experiments.experiments.introspection.schema import COLUMNS, make_schema
from stores import PartWriter, Records

Floats = NDArray[np.float64]
HIDDEN, LAYERS = 24, 3
QUESTIONS = 240
MCQ, SELF = "mcq", "self_confidence"
LETTERS = {"mcq": "ABCD", "self_confidence": "STUVWXYZ", "other_confidence": "STUVWXYZ"}


def unit(at: int) -> Floats:
    """A fixed direction of unit length that spreads over all dims; different for each number."""
    vector = np.random.default_rng(1000 + at).normal(size=HIDDEN)
    return vector / np.linalg.norm(vector)


def noise(questions: int, seed: int, scale: float = 1.0) -> Floats:
    """[question, layer, hidden]."""
    return scale * np.random.default_rng(seed).normal(size=(questions, LAYERS, HIDDEN))


def write_store(
    run: Path,
    states: dict[str, Floats],
    confidence: dict[str, Floats],
    embedded: bool = False,
    columns: dict[str, dict[str, list[Any]]] | None = None,
) -> None:
    """One row per pass and question; states: pass -> [question, layer, hidden] at the answer position.

    A token before the answer is stored too, with states of no meaning. columns: pass -> further columns' values.
    """
    schema = make_schema([f"resid_post.{i}" for i in range(LAYERS)], HIDDEN)
    provenance = {"config": {"options": {"model": "embedded" if embedded else "planted"}}}
    stores.create_store(run / "store", schema, {"settings": {"made": "by a test"}}, provenance, "zarr")
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        start = 0
        for kind, values in states.items():
            writer.append(_records(kind, values, confidence.get(kind), start, (columns or {}).get(kind, {})))
            start += len(values)


def _records(
    kind: str, values: Floats, confidence: Floats | None, start: int, columns: dict[str, list[Any]]
) -> Records:
    n, choices = len(values), len(LETTERS[kind])
    confidences = [None] * n if confidence is None else confidence.tolist()
    rows = [_row(kind, i, start + i, confidences[i]) | {name: v[i] for name, v in columns.items()} for i in range(n)]
    junk = np.random.default_rng(99).normal(0, 50, values.shape)
    both = np.stack([junk, values], 1).reshape(2 * n, LAYERS, HIDDEN).swapaxes(0, 1)
    arrays: dict[str, NDArray[Any]] = {
        "resid_post": both.astype(np.float16),
        "letter_logits": np.zeros(n * choices, np.float32),
        "letter_probs": np.full(n * choices, 1 / choices),
    }
    lengths = {"token": np.full(n, 2), "choice": np.full(n, choices)}
    return Records(rows, arrays, lengths, {"resid_post": np.zeros((LAYERS, 2 * n), np.int8)})


def _row(kind: str, question: int, index: int, confidence: float | None) -> dict[str, Any]:
    choices = len(LETTERS[kind])
    row: dict[str, Any] = {column.name: None for column in COLUMNS} | {
        "sample_id": f"q{question}:{kind}",
        "sample_index": index,
        "question_id": f"q{question}",
        "prompt_type": kind,
        "letters": list(LETTERS[kind]),
        "probs": [1 / choices] * choices,
        "positions": [0, 1],
        "answer_position": 1,
    }
    if kind != "mcq":
        row[kind] = confidence
    return row


def two_letters(top: np.ndarray) -> list[list[float]]:
    """Probabilities of four letters whose two likeliest share all but a hundredth."""
    return [[float(p), float(0.99 - p), 0.005, 0.005] for p in top]


def plant(run: Path) -> None:
    """Confidence is read off unit(1) of layer 1 of the self pass, and the mcq pass's margin off unit(4) of its layer 2.
    The probability of the mcq pass's answer, which alone decides whether that is right, is read off unit(3) of its
    layer 1. Its entropy follows from the question's length, which lies along unit(2) of its layer 2."""
    rng = np.random.default_rng(7)
    x, z = noise(QUESTIONS, 3), noise(QUESTIONS, 4)
    confidence, margin = 50 + 12 * z[:, 1] @ unit(1), z[:, 2] @ unit(4)
    top = np.clip(0.74 + 0.08 * x[:, 1] @ unit(3), 0.5, 0.98)
    length = rng.integers(20, 200, QUESTIONS)
    x[:, 2] = 0.05 * x[:, 2] + np.outer((length - 110) / 50, unit(2))
    right = rng.random(QUESTIONS) < 1 / (1 + np.exp(-(top - 0.74) / 0.02))
    mcq = {
        "entropy": (length / 100 + rng.normal(0, 0.05, QUESTIONS)).tolist(),
        "char_length": length.tolist(),
        "probs": two_letters(top),
        "is_correct": right.tolist(),
        "logit_margin": margin.tolist(),
        "parsed_answer": ["A"] * QUESTIONS,
    }
    write_store(run, {MCQ: x, SELF: z}, {SELF: confidence}, columns={MCQ: mcq, SELF: {"char_length": length.tolist()}})
