"""One verdict per target, and the sentence that says no more than its numbers allow. Computes no score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lit_experiments.experiments.linear_probes.result import ControlScore, TargetResult, Verdict
from lit_experiments.statistics import Estimate, holm

READABLE, BEYOND_SURFACE, BEYOND_OUTPUT, BEYOND_TWIN, NO_COPIES = (
    "readable",
    "beyond the surface",
    "beyond the output",
    "beyond random weights",
    "without copies",
)
CLAIMS = (READABLE, BEYOND_SURFACE, BEYOND_OUTPUT, BEYOND_TWIN, NO_COPIES)
SUPPORTED, SURFACE, OUTPUT, LEAKED, UNDERPOWERED, NOT = (
    "supported",
    "surface-explained",
    "output-explained",
    "leaked",
    "underpowered",
    "not supported",
)
YES, NO, OPEN = "yes", "no", "open"


def with_verdicts(results: list[TargetResult], alpha: float) -> list[TargetResult]:
    """The results with p-values corrected over targets (Holm), and their verdicts."""
    corrected = holm([result.p for result in results])
    fixed = [replace(result, p_targets=float(p)) for result, p in zip(results, corrected, strict=True)]
    return [replace(result, verdict=verdict_of(result, alpha)) for result in fixed]


def verdict_of(result: TargetResult, alpha: float) -> Verdict:
    """What the numbers of a target allow to be said."""
    claims = {READABLE: _readable(result, alpha)}
    for name, claim in (("surface", BEYOND_SURFACE), ("embedding", "beyond the embedding"), ("output", BEYOND_OUTPUT)):
        if name in result.controls:
            claims[claim] = _beyond(result.controls[name])
    if result.twin is not None:
        claims[BEYOND_TWIN] = _side(result.twin.difference, 0.0)
    if result.apart is not None:
        claims[NO_COPIES] = _side(result.apart, result.chance)
    word = _word(result, claims)
    return Verdict(word, claims, _sentence(result, claims, word))


def _readable(result: TargetResult, alpha: float) -> str:
    if not result.score.has_interval:
        return OPEN
    shuffles = result.shuffled.p <= max(alpha, 1 / (1 + len(result.shuffled.scores))) or not result.shuffled.scores
    significant = bool(np.isfinite(result.p_targets)) and result.p_targets <= alpha
    above = result.score.side_of(result.chance) > 0
    if above and significant and shuffles:
        return YES
    return OPEN if above or significant else NO


def _beyond(control: ControlScore) -> str:
    return NO if control.determines else _side(control.gain, 0.0)


def _side(estimate: Estimate, reference: float) -> str:
    if not estimate.has_interval:
        return OPEN
    return YES if estimate.side_of(reference) > 0 else NO


def _word(result: TargetResult, claims: dict[str, str]) -> str:
    if not result.score.has_interval:
        return UNDERPOWERED
    if claims[READABLE] != YES:
        return UNDERPOWERED if claims[READABLE] == OPEN else NOT
    if claims.get(NO_COPIES, YES) == NO:
        return LEAKED
    for claim, word in ((BEYOND_SURFACE, SURFACE), ("beyond the embedding", SURFACE), (BEYOND_OUTPUT, OUTPUT)):
        if claims.get(claim, YES) == NO:
            return word
    if claims.get(BEYOND_TWIN, YES) == NO:
        return NOT
    return UNDERPOWERED if OPEN in claims.values() else SUPPORTED


def _sentence(result: TargetResult, claims: dict[str, str], word: str) -> str:
    name = "R2" if result.score_name == "r2" else "AUROC"
    shown = f"{name} {_shown(result.score)} at {result.layer} of {result.field}"
    if word == UNDERPOWERED and not result.score.has_interval:
        return (
            f"{result.target}: {shown}; no interval ({result.score.no_interval} on its smallest side): no conclusion."
        )
    if claims[READABLE] == NO:
        return f"{result.target} is not seen to be readable from the states: {shown}, chance {result.chance:g}."
    if claims[READABLE] == OPEN:
        return f"Whether {result.target} is readable from the states stays open: {shown}, chance {result.chance:g}."
    if word == LEAKED:
        return (
            f"{result.target}: {shown} rests on test rows whose text is in training; without them "
            f"{_shown(result.apart)}."
        )
    holds = [claim for claim, answer in claims.items() if answer == YES and claim not in (READABLE, NO_COPIES)]
    fails = [claim for claim, answer in claims.items() if answer == NO]
    opens = [claim for claim, answer in claims.items() if answer == OPEN]
    parts = [f"{result.target} is readable from the states of held-out groups: {shown}"]
    if holds:
        parts.append(", ".join(holds))
    if fails:
        parts.append(f"not seen to be {' or '.join(fails)}")
    if opens:
        parts.append(f"open: {', '.join(opens)}")
    return "; ".join(parts) + "."


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "no score"
    if not estimate.has_interval:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
