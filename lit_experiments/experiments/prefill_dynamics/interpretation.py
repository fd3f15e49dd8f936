"""The sentences that the numbers choose. Knows estimates, not where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED
from lit_experiments.experiments.prefill_dynamics.verdicts import (
    SMOOTHER_UNRELATED,
    UNKNOWN,
    moves,
    power_in_percent,
    verdict,
)
from lit_experiments.reports.cells import interval, model_name, number
from lit_experiments.reports.findings import (
    NEGLIGIBLE_CORRELATION,
    no_correlation,
    power_of,
    power_of_correlation,
)
from lit_experiments.statistics import LEAST_GROUPS, Correlation, Estimate, detectable

SURE = 0.05  # p-value after correction


@dataclass(frozen=True)
class Interpretation:
    """What the numbers say. verdict: on human and model text, None without both; sentences: on these, by their topic,
    "outcome" first; pairs: one sentence on every other pair of conditions."""

    verdict: str | None
    sentences: dict[str, str]
    pairs: list[str]


def interpretation(
    contrasts: Sequence[Contrast],
    related: Mapping[str, Mapping[str, Correlation]],
    layers: Sequence[str],
    reader: str,
    generator: str,
    margin: float,
) -> Interpretation:
    """The verdict on human and model text, and what to say of every pair.

    Args:
        contrasts: the pairs in the variant that counts.
        related: correlations of cross-entropy with smoothness, as from `text_correlations`.
        layers: their names.
        reader, generator: names of the models that read and wrote.
        margin: part of the first condition's smoothness below which a difference counts as none.
    """
    main = next((c for c in contrasts if (c.a, c.b) == (HUMAN, MODEL)), None)
    others = [of_pair(c, margin) for c in contrasts if (c.a, c.b) != (HUMAN, MODEL)]
    if main is None:
        return Interpretation(None, {"outcome": "The store does not hold both human and model text."}, others)
    correlated, pooled = related["differences"][f"{HUMAN} - {MODEL}"], related["pooled"][f"{HUMAN} + {MODEL}"]
    moved = main.over_layers["smoothness"]
    case = verdict(moved.difference, moved.relative, correlated.pearson, margin)
    if case == UNKNOWN:
        return Interpretation(case, {"outcome": _unknown(main)}, others)
    text = "its own continuation" if reader == generator else f"the continuation that {model_name(generator)} wrote"
    sentences = {
        "outcome": _outcome(main, text, model_name(reader), margin),
        "layers": _by_layer(main, layers),
        "repetition": _repetition(main),
        "surprise": _surprise(main),
        "together": _together(case, correlated.pearson),
        "relative": _relative(main),
        "pooled": _pooled(pooled),
    }
    return Interpretation(case, sentences, others)


def of_pair(pair: Contrast, margin: float) -> str:
    """One sentence on a pair of conditions."""
    moved = pair.over_layers["smoothness"]
    if not moved.difference.has_interval:
        return f"{pair.b} versus {pair.a}: too little data ({moved.n} paragraphs hold both)."
    facts = f"{pair.name} {interval(moved.difference)}, d = {number(moved.d.value, 2)}, {_p(moved.p)}"
    return f"Reading {pair.b} {moves(moved, 'the states', margin)} reading {pair.a} ({facts})."


def _unknown(pair: Contrast) -> str:
    moved = pair.over_layers["smoothness"]
    why = f"{moved.n} paragraphs hold both"
    if moved.n >= LEAST_GROUPS:
        why = f"the difference in smoothness is {interval(moved.difference)}"
    return f"Too little data to compare human and model text: {why}."


def _outcome(pair: Contrast, text: str, reader: str, margin: float) -> str:
    """The verdict with its numbers. text: what the model text is to the reader."""
    moved = pair.over_layers["smoothness"]
    return (
        f"Reading {text} {moves(moved, f'the residual stream of {reader}', margin)} reading the human one. Mean step "
        f"from token to token: human minus model {interval(moved.difference)}, {_percent(moved.relative)} of the human "
        f"value; d = {number(moved.d.value, 2)}, t-test {_p(moved.p)}, {moved.n} paragraphs."
    )


def _by_layer(pair: Contrast, layers: Sequence[str]) -> str:
    """At which layers the sign is sure: an average over layers may hide that they disagree."""
    tested = list(zip(layers, pair.layers["smoothness"], pair.p_holm["smoothness"], strict=True))
    sure = [(name, test.difference.value) for name, test, p in tested if p < SURE]
    parts = [
        f"{word} at {len(names)} ({', '.join(names)})"
        for word, names in (
            ("smoother", [name for name, value in sure if value > 0]),
            ("rougher", [name for name, value in sure if value < 0]),
        )
        if names
    ]
    places = "; ".join(parts) or "neither is seen at any"
    unseen = [test for _, test, p in tested if not p < SURE]
    power = power_in_percent(max(unseen, key=lambda test: detectable(test.relative)), len(tested)) if unseen else ""
    rest = f"; at the others neither is seen{power}" if parts and power else power
    return f"Layer by layer (t-test, p below {SURE} after Holm's correction), of {len(tested)} layers: {places}{rest}."


def _repetition(pair: Contrast) -> str:
    """Whether the difference outlasts leaving out loops, and controlling for repetition."""
    rep, moved = pair.repetition, pair.over_layers["smoothness"]
    counts = f"{rep.looping_b} of {moved.n} model texts end in a loop, {rep.looping_a} human ones"
    side = moved.difference.side_of(0)
    clean, level = rep.without_loops.difference, rep.adjusted.effect
    parts = [f"without loops ({rep.without_loops.n} paragraphs) {_outlasts(clean, side)}"]
    beyond = ", an extrapolation" if rep.adjusted.extrapolated else ""
    parts.append(f"for texts that repeat themselves equally (distinct-{CONTROLLED}{beyond}) {_outlasts(level, side)}")
    return f"Repetition: {counts}; the difference in smoothness is {', and '.join(parts)}."


def _outlasts(difference: Estimate, main_side: int) -> str:
    """'0.12 [0.03, 0.22] (model text smoother too)'."""
    if not difference.has_interval:
        return f"{interval(difference)}" if difference.value == difference.value else "not known"
    side = difference.side_of(0)
    word = {0: f"not seen to differ from 0{power_of(difference)}", 1: "model text smoother", -1: "model text rougher"}
    return f"{interval(difference)} ({word[side]}{' too' if side and side == main_side else ''})"


def _surprise(pair: Contrast) -> str:
    gap = pair.ce.difference
    unseen = f"not seen to be less or more surprising{power_of(gap, unit='nats')}"
    degree = {1: "less surprising", -1: "more surprising", 0: unseen}[gap.side_of(0)]
    if not gap.has_interval:
        degree = "not known to be more or less surprising"
    return (
        f"The model's text is {degree} to it: cross-entropy {number(pair.ce.mean_b)} versus {number(pair.ce.mean_a)} "
        f"nats per token, difference {interval(gap)}."
    )


def _together(case: str, r: Estimate) -> str:
    if not r.has_interval:
        return f"Whether surprise and movement go together cannot be decided (Pearson of differences {interval(r, 2)})."
    more = "in paragraphs where the human text is more surprising than the model's by a larger amount"
    shown = f"(Pearson of the paired differences {interval(r, 2)})"
    if r.side_of(0) > 0:
        return f"Surprise and movement go together: {more}, it also moves the states more by a larger amount {shown}."
    if r.side_of(0) < 0:
        return f"Surprise and movement go against each other: {more}, its steps exceed the model's by less {shown}."
    if no_correlation(r):
        so = (
            ": surprise does not explain the difference in smoothness at this level"
            if case == SMOOTHER_UNRELATED
            else ""
        )
        return (
            "How much more surprising the human text of a paragraph is does not predict how much more it moves the "
            f"states: the correlation is sure to be below {NEGLIGIBLE_CORRELATION:g} {shown}{so}."
        )
    return f"Surprise and movement are not seen to go together {shown}{power_of_correlation(r)}."


def _relative(pair: Contrast) -> str:
    relative, main = pair.over_layers["relative smoothness"].difference, pair.over_layers["smoothness"].difference
    if not relative.has_interval:
        return f"Relative to the states' own size nothing can be said ({interval(relative, 4)})."
    side = relative.side_of(0)
    if not side:
        return f"Relative to the states' own size no difference is seen: {interval(relative, 4)}{power_of(relative)}."
    agrees = "the same holds" if side == main.side_of(0) else "it is otherwise"
    steps = {1: "smaller steps in the model's text", -1: "larger steps in the model's text"}
    return f"Relative to the states' own size {agrees}: {steps[side]} ({interval(relative, 4)})."


def _pooled(pooled: Correlation) -> str:
    return (
        "Over all human and model texts pooled, cross-entropy and smoothness correlate with "
        f"{interval(pooled.pearson, 2)}; that number mixes the difference between the two kinds of text with the "
        "differences among texts of one kind and must not be read as either."
    )


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"


def _p(value: float) -> str:
    return "p not defined" if value != value else "p < 0.0001" if value < 1e-4 else f"p = {value:.4f}"
