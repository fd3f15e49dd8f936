"""The one decision rule: evidence in, one verdict and one sentence out.

Supported: readable from the states of held-out groups, more than each control and more than states that no training
shaped. The other words say which of these fails first, in this order:

leaked: the rows had to be put together for their content, and only where copies are in training is the target told.
underpowered: too few groups, labels or classes for a test (`untested`) or for an interval, or too few for the smallest
effect of interest (`OF_INTEREST`) to be seen with 80 % power, or one test for and one against.
not supported: it would have been seen, and is not; or states of random weights tell as much.
surface-explained, output-explained: readable, and the states add nothing to what the control tells, or no more than it
would gain itself from four times the training data.

A target that is a function of the model's own output is output-explained by the same rule: nothing can be added to what
determines it. One case is different. Where the target *is* a readout of that very output (the entropy or the expected
confidence of the stored letter probabilities, to the last digits), "beyond the output" is no question at all: output
and target are one quantity under two names, and the claim can only be that the states carry it before it is put out.
Such a target is marked, the control decides nothing, and surface, random weights and leaks decide. Which of the two it
is follows from the data alone (`definition`): a column named self_confidence that the stored probabilities do not give
is compared with them like any other label.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lit_experiments.claims.claim import BEYOND, RANDOM, Claim
from lit_experiments.claims.evidence import Control, Evidence, Twins
from lit_experiments.claims.questions import (
    BEYOND_EMBEDDING,
    BEYOND_OUTPUT,
    BEYOND_SURFACE,
    BEYOND_TWIN,
    NO,
    NO_COPIES,
    OF_CONTROL,
    OPEN,
    READABLE,
    YES,
    adds_nothing,
    reason,
    still_to_learn,
)
from lit_experiments.reports import cells
from lit_experiments.statistics import Estimate

SUPPORTED, SURFACE_EXPLAINED, OUTPUT_EXPLAINED, LEAKED, UNDERPOWERED, NOT = (
    "supported",
    "surface-explained",
    "output-explained",
    "leaked",
    "underpowered",
    "not supported",
)
WORDS = (SUPPORTED, SURFACE_EXPLAINED, OUTPUT_EXPLAINED, LEAKED, UNDERPOWERED, NOT)
OF_INTEREST = {"r2": 0.25, "auroc": 0.3, "accuracy": 0.3}
"""Distances from chance that a study must be able to see before it may say that there is nothing."""
LEAST_SHARE = 0.1
"""Of what the states tell: a gain over a control below it is what an imperfect model of the control leaves, and random
states whose scores are on average below it tell nothing that could explain."""
DECISIVE, MANY_GROUPS = 0.005, 30
"""A permutation test of at least so many groups with a p-value of at most this decides alone: it is exact whatever the
labels' distribution, while the interval of an R2 rests on its few largest labels where tails are heavy."""
_NOTHING = {"r2": 0.02, "auroc": 0.03, "accuracy": 0.03}
"""A control no farther above chance than this, and not seen to be above it, tells nothing that could explain."""
_COPIED = 0.05
"""Least share of test rows with a copy in training, under a row-by-row split, that can carry a score."""
MOST_SENTENCES = 8
"""Claims that a page puts in words at its head; of more it shows the verdicts' matrix alone."""
NAMES = {"r2": "R2", "auroc": "AUROC", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Verdict:
    """word: supported, surface-explained, output-explained, leaked, underpowered or not supported. claims: for each
    part of the claim whether it holds (yes, no, open). sentence: no more than these allow."""

    word: str
    claims: dict[str, str]
    sentence: str


@dataclass(frozen=True)
class Judged:
    """A claim with what decides it, and the verdict."""

    claim: Claim
    evidence: Evidence
    verdict: Verdict


def judged(claim: Claim, evidence: Evidence) -> Judged:
    """Judges a claim beyond what it names."""
    return Judged(claim, evidence, verdict_of(claim.target, evidence, claim.beyond))


def verdict_of(target: str, evidence: Evidence, beyond: Collection[str] = BEYOND) -> Verdict:
    """What the numbers allow to be said of a target.

    Args:
        beyond: controls that count, of `BEYOND`; others are not looked at.
    """
    answers = {READABLE: _readable(evidence)}
    for control in evidence.controls:
        if control.name in beyond and not control.definition:
            answers[OF_CONTROL[control.name]] = _beyond(control, evidence)
    if evidence.twins is not None and RANDOM in beyond:
        answers[BEYOND_TWIN] = _beyond_twins(evidence.twins, evidence)
    if evidence.apart is not None:
        answers[NO_COPIES] = _side(evidence.apart, evidence.chance)
    word = _word(evidence, answers)
    if answers[READABLE] != YES:  # what is not told cannot be told beyond anything
        answers = dict.fromkeys(answers, OPEN) | {READABLE: answers[READABLE]}
    return Verdict(word, answers, _sentence(target, evidence, answers, word))


def _readable(evidence: Evidence) -> str:
    if not evidence.score.has_interval:
        return OPEN
    shuffles = math.isnan(evidence.shuffled_p) or evidence.shuffled_p <= max(
        evidence.alpha, 1 / (1 + evidence.shuffles)
    )
    significant = math.isfinite(evidence.p_corrected) and evidence.p_corrected <= evidence.alpha
    above = evidence.score.side_of(evidence.chance) > 0
    if shuffles and ((above and significant) or _is_decisive(evidence)):
        return YES
    return OPEN if above or significant else NO


def _is_decisive(evidence: Evidence) -> bool:
    """Whether the permutation test alone says that the score is above chance; p must be corrected."""
    enough = evidence.grouping.test_groups >= MANY_GROUPS and evidence.score.value > evidence.chance
    return enough and math.isfinite(evidence.p_corrected) and evidence.p_corrected <= DECISIVE


def _beyond(control: Control, evidence: Evidence) -> str:
    if control.determines:
        return NO
    if not control.gain.has_interval:
        return NO if adds_nothing(control) and control.score.value > evidence.chance else OPEN
    if _tells_nothing(control.score, evidence) and control.gain.value > 0:
        return YES
    least = LEAST_SHARE * (evidence.score.value - evidence.chance)
    unlearned = still_to_learn(control)
    # What a control that is not seen to tell anything has gained may be noise: then the gain itself is compared.
    gained = control.gain.low if control.score.side_of(evidence.chance) > 0 else control.gain.value
    if control.gain.side_of(0.0) > 0 and control.gain.value >= least and gained > unlearned:
        return YES
    nothing_added = control.gain.high < least and control.score.value > evidence.chance
    nothing_added |= 0 < unlearned >= control.gain.value
    return NO if nothing_added or control.score.side_of(evidence.chance) > 0 else OPEN


def _beyond_twins(twins: Twins, evidence: Evidence) -> str:
    """The score must be above that of every twin; where the best of them tells something, by more than chance."""
    if not twins.difference.has_interval:
        return OPEN
    scores = [score for score in twins.scores if math.isfinite(score)]
    if any(score >= evidence.score.value for score in scores):
        return NO
    seen = twins.best.side_of(evidence.chance) > 0
    # The best of several that tell nothing lies above chance by chance: their mean does not.
    mean = sum(scores) / max(1, len(scores)) - evidence.chance
    least = LEAST_SHARE * (evidence.score.value - evidence.chance)
    if mean <= least or (not seen and mean <= _NOTHING[evidence.score_name]):
        return YES
    return _side(twins.difference, 0.0)


def _tells_nothing(score: Estimate, evidence: Evidence) -> bool:
    return score.side_of(evidence.chance) <= 0 and score.value - evidence.chance <= _NOTHING[evidence.score_name]


def in_words(sentences: Sequence[str]) -> list[str]:
    """The sentences of a page's head: none where they are too many to be read there, as the matrix says the same."""
    return [*sentences] if len(sentences) <= MOST_SENTENCES else []


def _side(estimate: Estimate, reference: float) -> str:
    if not estimate.has_interval:
        return OPEN
    return YES if estimate.side_of(reference) > 0 else NO


def _word(evidence: Evidence, answers: dict[str, str]) -> str:
    readable = answers[READABLE]
    if _only_by_row(evidence, readable) or (readable == YES and answers.get(NO_COPIES, YES) == NO):
        return LEAKED
    if not evidence.score.has_interval or readable == OPEN:
        return UNDERPOWERED
    if readable == NO:
        return UNDERPOWERED if evidence.detectable > OF_INTEREST[evidence.score_name] else NOT
    explained = ((BEYOND_SURFACE, SURFACE_EXPLAINED), (BEYOND_EMBEDDING, SURFACE_EXPLAINED))
    for question, word in (*explained, (BEYOND_OUTPUT, OUTPUT_EXPLAINED), (BEYOND_TWIN, NOT)):
        if answers.get(question, YES) == NO:
            return word
    return UNDERPOWERED if OPEN in answers.values() else SUPPORTED


def _only_by_row(evidence: Evidence, readable: str) -> bool:
    """Whether copies would carry the score: told where rows are split one by one, and not by held-out content."""
    rows = evidence.grouping
    if evidence.by_row is None or readable == YES or rows.twins_by_row < _COPIED * rows.test_rows:
        return False
    apart = not evidence.score.value >= evidence.by_row.low  # also where there is no score
    return evidence.by_row.side_of(evidence.chance) > 0 and apart


def _sentence(target: str, evidence: Evidence, answers: dict[str, str], word: str) -> str:
    shown = f"{NAMES[evidence.score_name]} {number(evidence.score)}"
    chance = f"chance {evidence.chance:.2g}"
    if evidence.untested:
        return f"{target} could not be tested: {evidence.untested}."
    if word == LEAKED:
        return _leak_sentence(target, evidence, answers, shown)
    if not evidence.score.has_interval:
        return f"{target}: {shown}, no interval ({evidence.score.no_interval} on its smallest side): no conclusion."
    seen = f"an effect of {evidence.detectable:.2f} above chance would have been seen with 80 % power"
    power = f"; {seen}" if math.isfinite(evidence.detectable) else ""
    if answers[READABLE] == NO:
        return f"{target} is not seen to be readable from the states: {shown}, {chance}{power}."
    if answers[READABLE] == OPEN:
        return f"Whether {target} is readable from the states stays open: {shown}, {chance}{power}."
    parts = [
        f"{target} is readable from the states of held-out groups: {shown}, {chance}{_why(evidence, READABLE, YES)}"
    ]
    lists = {answer: [q for q in answers if answers[q] == answer and q != READABLE] for answer in (YES, NO, OPEN)}
    if lists[YES]:
        parts.append(", ".join(_with_gain(question, evidence, YES) for question in lists[YES]))
    if lists[NO]:
        parts.append(f"not seen to be {' or '.join(_with_gain(question, evidence, NO) for question in lists[NO])}")
    if lists[OPEN]:
        parts.append(f"open: {', '.join(_with_gain(question, evidence, OPEN) for question in lists[OPEN])}")
    parts += [f"it is the {c.definition} of the model's own output" for c in evidence.controls if c.definition]
    return "; ".join(parts) + "."


def _why(evidence: Evidence, question: str, answer: str) -> str:
    """What to add where the interval alone would not give the answer."""
    because = reason(evidence, question, answer)
    return f", {because}" if because else ""


def _leak_sentence(target: str, evidence: Evidence, answers: dict[str, str], shown: str) -> str:
    if answers.get(NO_COPIES) == NO and evidence.apart is not None:
        return f"{target}: {shown} rests on rows with a copy in training; without them {number(evidence.apart)}."
    rows = evidence.grouping
    by_row = "" if evidence.by_row is None else number(evidence.by_row)
    return (
        f"{target}: {by_row} where rows are split one by one, {shown} where alike texts stay together "
        f"({rows.twins_by_row} of {rows.test_rows} test rows would have a copy in training): copies carry it."
    )


def _with_gain(question: str, evidence: Evidence, answer: str) -> str:
    """The question, with the number that decides it."""
    because = _why(evidence, question, answer)
    for control in evidence.controls:
        if OF_CONTROL[control.name] == question:
            return f"{question} ({because[2:] if control.determines else f'gain {number(control.gain)}{because}'})"
    if question == BEYOND_TWIN and evidence.twins is not None:
        return f"{question} (best of {len(evidence.twins.scores)}: {cells.number(evidence.twins.best.value, 2)})"
    if question == NO_COPIES and evidence.apart is not None:
        return f"{question} ({number(evidence.apart)})"
    return question


def tone_of(word: str) -> Literal["for", "open", "against"]:
    """How pages colour a verdict."""
    return "for" if word == SUPPORTED else "open" if word == UNDERPOWERED else "against"


def number(estimate: Estimate) -> str:
    """0.52 [0.41, 0.63] as the matrix shows it, or the value alone where there is no interval."""
    return cells.interval(estimate, 2) if estimate.has_interval else cells.number(estimate.value, 2)
