"""A verdict and its parts as cells of a page's matrix."""

from __future__ import annotations

from lit_experiments.claims.evidence import Evidence
from lit_experiments.claims.questions import NO, OPEN, QUESTIONS, READABLE, YES, number_behind, reason
from lit_experiments.claims.rule import Verdict, tone_of
from lit_experiments.reports import blocks

_TONES: dict[str, blocks.Tone] = {YES: "for", NO: "against", OPEN: "open"}


def verdicts_matrix(rows: dict[str, tuple[Verdict, Evidence]]) -> blocks.Matrix:
    """Verdicts by what they are about, each with its parts, the number behind each part, and the reason where that
    number alone would not give the answer."""
    parts = [part for part in QUESTIONS if any(part in verdict.claims for verdict, _ in rows.values())]
    cells = [
        [verdict_cell(verdict, evidence), *(_part(verdict, evidence, part) for part in parts)]
        for verdict, evidence in rows.values()
    ]
    return blocks.Matrix("verdicts", "", [*rows], ["verdict", *parts], cells)


def verdict_cell(verdict: Verdict, evidence: Evidence) -> blocks.Verdict:
    """The verdict with the score of the states."""
    because = reason(evidence, READABLE, verdict.claims[READABLE])
    return blocks.Verdict(verdict.word, tone_of(verdict.word), evidence.score, because)


def _part(verdict: Verdict, evidence: Evidence, question: str) -> blocks.Verdict | None:
    answer = verdict.claims.get(question)
    if answer is None:
        return None
    if question != READABLE and verdict.claims[READABLE] != YES:
        return blocks.Verdict(answer, _TONES[answer], reason="not readable")
    because = reason(evidence, question, answer)
    return blocks.Verdict(answer, _TONES[answer], number_behind(evidence, question), because)
