"""How the embedded model answers the shipped questions, and whether its confidence, with and without the adapter, is
deserved.

Owns: the two passes that the measurement needs and the scores made of them. Does not know: training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from lit_experiments.embedded import evaluate
from lit_experiments.embedded.prompts import CONFIDENCE_LETTERS, MIDPOINTS, prompt
from lit_experiments.embedded.questions import LETTERS, Question
from lit_experiments.embedded.recipe import EmbeddedError
from lit_experiments.statistics.calibration import auroc, expected_calibration_error

BINS = 10


@dataclass(frozen=True)
class Answers:
    """correct: bool [question]; margin: probability of the chosen letter minus the next, [question]; confidence: the
    expected one claimed of itself, 0 to 1, [question]; outside: probability that went to no letter, [question].
    """

    correct: np.ndarray
    margin: np.ndarray
    confidence: np.ndarray
    outside: np.ndarray


def answers(model: Any, tokenizer: Any, questions: Sequence[Question]) -> Answers:
    """Ask every question, and how sure the model is of it."""
    chosen = evaluate.letter_probs(model, tokenizer, [prompt("mcq", q) for q in questions], LETTERS)
    keys = np.array([LETTERS.index(question.answer) for question in questions])
    ordered = np.sort(chosen, -1)
    claims = [prompt("self_confidence", question) for question in questions]
    claimed = evaluate.letter_probs(model, tokenizer, claims, CONFIDENCE_LETTERS)
    expected = claimed / claimed.sum(-1, keepdims=True) @ np.array(MIDPOINTS) / 100
    return Answers(chosen.argmax(-1) == keys, ordered[:, -1] - ordered[:, -2], expected, 1 - chosen.sum(-1))


def with_adapter(folder: Path, adapter: Path) -> Any:
    """The model in `folder`, loaded anew, under its adapter; raises EmbeddedError if there is none."""
    if not (adapter / "adapter_config.json").is_file():
        raise EmbeddedError(f"{adapter}: no adapter there; `python -m lit_experiments.embedded.train` makes it")
    model, _ = evaluate.load_folder(folder, torch.float32)
    return PeftModel.from_pretrained(model, str(adapter)).eval()


def calibration(results: Answers, chosen: np.ndarray) -> tuple[float, float]:
    """(ECE, AUROC) of the claimed confidence as a forecast of being right, over the rows `chosen`."""
    confidence, correct = results.confidence[chosen], results.correct[chosen]
    return expected_calibration_error(confidence, correct, BINS), auroc(confidence, correct)
