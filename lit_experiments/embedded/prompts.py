"""The prompts of study 3 in the wording that the embedded model was trained on, and what its training half is told.

Owns: the three prompt templates, the confidence letters and their bins, and the confidence that the base model is
taught to claim. Does not know: tokenizers, models, training.
The same templates stand in the configuration of study 3; a test keeps them equal.
"""

from __future__ import annotations

import bisect
import random

from lit_experiments.embedded.questions import DIFFICULTIES, LETTERS, Question

CONFIDENCE_LETTERS = "STUVWXYZ"
UPPER_EDGES = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 90.0)  # percent; the last bin is open
MIDPOINTS = (2.5, 7.5, 15.0, 30.0, 50.0, 70.0, 85.0, 95.0)  # percent

_QUESTION = "Question: {question}\nA) {A}\nB) {B}\nC) {C}\nD) {D}\n"
_BINS = "S) <5% T) 5-10% U) 10-20% V) 20-40% W) 40-60% X) 60-80% Y) 80-90% Z) >90%\n"
TEMPLATES = {
    "mcq": _QUESTION + "Answer:",
    "self_confidence": _QUESTION + "How likely are you to answer this correctly?\n" + _BINS + "Confidence:",
    "other_confidence": _QUESTION
    + "How likely are college-educated people to answer this correctly?\n"
    + _BINS
    + "Confidence:",
}

# What training claims: one letter per question, drawn from these. Of itself the base model claims anything, whatever it
# knows: that is what the adapter mends. Of others it claims what the difficulty suggests.
_ANYTHING = "ZZYYXXWV"
CLAIMS = {
    "self_confidence": dict.fromkeys(DIFFICULTIES, _ANYTHING),
    "other_confidence": {"easy": "ZYYX", "medium": "YXXW", "hard": "XWWV"},
}


def prompt(kind: str, question: Question) -> str:
    """The prompt of one pass, up to where the answer's letter follows (after a space)."""
    options = dict(zip(LETTERS, question.options, strict=True))
    return TEMPLATES[kind].format(question=question.text, **options)


def confidence_letter(percent: float) -> str:
    """The letter of the bin that holds a probability in percent (0 to 100)."""
    return CONFIDENCE_LETTERS[bisect.bisect_right(UPPER_EDGES, percent)]


def claim(kind: str, question: Question) -> str:
    """The letter that training has the base model claim, always the same for a question."""
    return random.Random(f"{kind}/{question.question_id}").choice(CLAIMS[kind][question.difficulty])
