"""The questions that a claim consists of: the number behind each answer, and the reason where that number alone would
not give it. Decides nothing: `rule` does."""

from __future__ import annotations

import math

from lit_experiments.claims.claim import EMBEDDING, OUTPUT, RANDOM, SURFACE
from lit_experiments.claims.evidence import Control, Evidence
from lit_experiments.statistics import Estimate

READABLE, BEYOND_SURFACE, BEYOND_EMBEDDING, BEYOND_OUTPUT, BEYOND_TWIN, NO_COPIES = (
    "readable",
    "beyond the surface",
    "beyond the embedding",
    "beyond the output",
    "beyond random weights",
    "without copies",
)
QUESTIONS = (READABLE, BEYOND_SURFACE, BEYOND_EMBEDDING, BEYOND_OUTPUT, BEYOND_TWIN, NO_COPIES)
OF_CONTROL = {SURFACE: BEYOND_SURFACE, EMBEDDING: BEYOND_EMBEDDING, OUTPUT: BEYOND_OUTPUT}
YES, NO, OPEN = "yes", "no", "open"
_ROUNDING = 1e-12


def number_behind(evidence: Evidence, question: str) -> Estimate | None:
    """The number that the answer to a question is about: a score, or a paired difference of two."""
    if question == READABLE:
        return evidence.score
    if question == NO_COPIES:
        return evidence.apart
    if question == BEYOND_TWIN:
        return None if evidence.twins is None else evidence.twins.difference
    control = _control(evidence, question)
    return None if control is None else control.gain


def reason(evidence: Evidence, question: str, answer: str) -> str:
    """Why the answer is this one where the interval of its number does not say so by itself; empty where it does."""
    control = _control(evidence, question)
    if control is not None and control.determines:
        return f"{control.name} determines it"
    if control is not None and answer == NO and adds_nothing(control):
        return "the states change no prediction"
    number = number_behind(evidence, question)
    if number is None or not number.has_interval:
        return ""
    above = number.side_of(_reference(evidence, question)) > 0
    if question == READABLE:
        disagree = above != (answer == YES)
        return f"permutation p {evidence.p_corrected:.2g}" if disagree and math.isfinite(evidence.p_corrected) else ""
    if above == (answer == YES):
        return ""
    if answer == YES:
        return f"{RANDOM if control is None else control.name} alone tells nothing"
    if answer == OPEN or control is None:
        return ""
    learns = still_to_learn(control) >= number.low
    return f"{control.name} would learn as much from more rows" if learns else "little beside what the states tell"


def adds_nothing(control: Control) -> bool:
    """Whether predictions with the states are the control's own: a gain of 0 on every row has no interval."""
    return abs(control.gain.value) < _ROUNDING and not control.gain.has_interval


def still_to_learn(control: Control) -> float:
    """What a control would gain from four times the training data, at most.

    A control that tells more the more rows it is fitted to has not told all it can; a label that follows from words
    that come in few texts each is an example.
    """
    return 0.0 if math.isnan(control.growth) else max(0.0, control.growth)


def _control(evidence: Evidence, question: str) -> Control | None:
    return next((control for control in evidence.controls if OF_CONTROL[control.name] == question), None)


def _reference(evidence: Evidence, question: str) -> float:
    return evidence.chance if question in (READABLE, NO_COPIES) else 0.0
