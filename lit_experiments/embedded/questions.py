"""The shipped four-option questions: general knowledge from 12 subjects, in three difficulties, with keys.

Owns: reading `data/questions.jsonl`, and which half of it the embedded model may be trained on.
Does not know: how a question is put to a model, nor the layouts of users' question files.

The half is written in the file, not drawn here: it is balanced over subjects, difficulties and keys, and what a trained
model has seen stays on record when questions are added.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

QUESTIONS_FILE = Path(__file__).parent / "data" / "questions.jsonl"
LETTERS = ("A", "B", "C", "D")
DIFFICULTIES = ("easy", "medium", "hard")
TRAINING, HELD_OUT = "training", "held_out"


@dataclass(frozen=True)
class Question:
    """One question; `answer` is the letter of the right option, `half` is `TRAINING` or `HELD_OUT`."""

    question_id: str
    subject: str
    difficulty: str
    half: str
    text: str
    options: tuple[str, ...]
    answer: str

    @property
    def right_option(self) -> str:
        return self.options[LETTERS.index(self.answer)]


def _question(line: str) -> Question:
    row = json.loads(line)
    return Question(text=row.pop("question"), options=tuple(row.pop("options")), **row)


def load_questions() -> list[Question]:
    """All shipped questions in the order of their ids; subjects and difficulties are mixed."""
    return [_question(line) for line in QUESTIONS_FILE.read_text(encoding="utf-8").splitlines()]


def split(questions: list[Question]) -> tuple[list[Question], list[Question]]:
    """(training half, held-out half), each in the given order."""
    training = [question for question in questions if question.half == TRAINING]
    held_out = [question for question in questions if question.half == HELD_OUT]
    return training, held_out
