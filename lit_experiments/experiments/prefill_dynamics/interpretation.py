"""The sentences that the numbers choose. Knows estimates, not where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED
from lit_experiments.reports.cells import interval, model_name, number
from lit_experiments.statistics import LEAST_GROUPS, Correlation, Estimate

SMOOTHER_CORRELATED = "smoother and correlated"
SMOOTHER = "smoother and not correlated"
SAME = "no difference"
ROUGHER = "rougher"
UNKNOWN = "too little data"
_SIDE = {SMOOTHER_CORRELATED: 1, SMOOTHER: 1, SAME: 0, ROUGHER: -1}
SURE = 0.05  # p-value after correction


def verdict(difference: Estimate, correlated: Estimate) -> str:
    """Which case it is.

    Args:
        difference: human minus model, of smoothness (low is smooth).
        correlated: of the paired differences of cross-entropy and smoothness.
    """
    if not difference.has_interval:
        return UNKNOWN
    if difference.side_of(0) > 0:
        return SMOOTHER_CORRELATED if correlated.side_of(0) > 0 else SMOOTHER
    return ROUGHER if difference.side_of(0) < 0 else SAME


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
) -> Interpretation:
    """The verdict on human and model text, and what to say of every pair.

    Args:
        contrasts: the pairs in the variant that counts.
        related: correlations of cross-entropy with smoothness, as from `text_correlations`.
        layers: their names.
        reader, generator: names of the models that read and wrote.
    """
    main = next((c for c in contrasts if (c.a, c.b) == (HUMAN, MODEL)), None)
    others = [of_pair(c) for c in contrasts if (c.a, c.b) != (HUMAN, MODEL)]
    if main is None:
        return Interpretation(None, {"outcome": "The store does not hold both human and model text."}, others)
    correlated, pooled = related["differences"][f"{HUMAN} - {MODEL}"], related["pooled"][f"{HUMAN} + {MODEL}"]
    case = verdict(main.over_layers["smoothness"].difference, correlated.pearson)
    if case == UNKNOWN:
        return Interpretation(case, {"outcome": _unknown(main)}, others)
    text = "its own continuation" if reader == generator else f"the continuation that {model_name(generator)} wrote"
    sentences = {
        "outcome": _outcome(main, case, text, model_name(reader)),
        "layers": _by_layer(main, layers),
        "repetition": _repetition(main, case),
        "surprise": _surprise(main),
        "together": _together(case, correlated.pearson),
        "relative": _relative(main, case),
        "pooled": _pooled(pooled),
    }
    return Interpretation(case, sentences, others)


def of_pair(pair: Contrast) -> str:
    """One sentence on a pair of conditions."""
    moved = pair.over_layers["smoothness"]
    if not moved.difference.has_interval:
        return f"{pair.b} versus {pair.a}: too little data ({moved.n} paragraphs hold both)."
    manner = {1: "more smoothly than", -1: "more roughly than", 0: "not seen to be smoother or rougher than"}
    side = moved.difference.side_of(0)
    verb = "moves the states" if side else "is"
    facts = f"{pair.name} {interval(moved.difference)}, d = {number(moved.d.value, 2)}, {_p(moved.p)}"
    return f"Reading {pair.b} {verb} {manner[side]} reading {pair.a} ({facts})."


def _unknown(pair: Contrast) -> str:
    moved = pair.over_layers["smoothness"]
    why = f"{moved.n} paragraphs hold both"
    if moved.n >= LEAST_GROUPS:
        why = f"the difference in smoothness is {interval(moved.difference)}"
    return f"Too little data to compare human and model text: {why}."


def _outcome(pair: Contrast, case: str, text: str, reader: str) -> str:
    """The verdict with its numbers. text: what the model text is to the reader."""
    moved = pair.over_layers["smoothness"]
    manner = {
        SAME: f"neither more nor less smoothly, as far as {moved.n} paragraphs can show (the interval holds zero)",
        ROUGHER: "more roughly",
    }.get(case, "more smoothly")
    return (
        f"Reading {text} moves the residual stream of {reader} {manner}, compared with reading the human one. Mean "
        f"step from token to token: human minus model {interval(moved.difference)}, {_percent(moved.relative)} of the "
        f"human value; d = {number(moved.d.value, 2)}, t-test {_p(moved.p)}, {moved.n} paragraphs."
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
    places = "; ".join(parts) or "neither at any"
    return f"Layer by layer (t-test, p below {SURE} after Holm's correction), of {len(tested)} layers: {places}."


def _repetition(pair: Contrast, case: str) -> str:
    """Whether the difference outlasts leaving out loops, and controlling for repetition."""
    rep, moved = pair.repetition, pair.over_layers["smoothness"]
    counts = f"{rep.looping_b} of {moved.n} model texts end in a loop, {rep.looping_a} human ones"
    clean, level = rep.without_loops.difference, rep.adjusted.effect
    parts = [f"without loops ({rep.without_loops.n} paragraphs) {_outlasts(clean, case)}"]
    beyond = ", an extrapolation" if rep.adjusted.extrapolated else ""
    parts.append(f"for texts that repeat themselves equally (distinct-{CONTROLLED}{beyond}) {_outlasts(level, case)}")
    return f"Repetition: {counts}; the difference in smoothness is {', and '.join(parts)}."


def _outlasts(difference: Estimate, case: str) -> str:
    """'0.12 [0.03, 0.22], the same way'."""
    if not difference.has_interval:
        return f"{interval(difference)}" if difference.value == difference.value else "not known"
    side = difference.side_of(0)
    word = {0: "not distinguishable from 0", 1: "model text smoother", -1: "model text rougher"}[side]
    too = " too" if side and side == _SIDE[case] else ""
    return f"{interval(difference)} ({word}{too})"


def _surprise(pair: Contrast) -> str:
    gap = pair.ce.difference
    degree = {1: "less surprising", -1: "more surprising", 0: "neither more nor less surprising"}[gap.side_of(0)]
    if not gap.has_interval:
        degree = "not known to be more or less surprising"
    return (
        f"The model's text is {degree} to it: cross-entropy {number(pair.ce.mean_b)} versus {number(pair.ce.mean_a)} "
        f"nats per token, difference {interval(gap)}."
    )


def _together(case: str, r: Estimate) -> str:
    if not r.has_interval:
        return f"Whether surprise and movement go together cannot be decided (Pearson of differences {interval(r, 2)})."
    sentence = {
        1: "Surprise and movement go together: in paragraphs where the human text is more surprising than the "
        "model's by a larger amount, it also moves the states more by a larger amount",
        -1: "Surprise and movement go against each other: in paragraphs where the human text is more surprising than "
        "the model's by a larger amount, its steps exceed the model's by less",
        0: "How much more surprising the human text of a paragraph is does not predict how much more it moves "
        "the states",
    }[r.side_of(0)]
    so = ", so the difference in smoothness is not explained by surprise at this level" if case == SMOOTHER else ""
    return f"{sentence} (Pearson of the paired differences {interval(r, 2)}){so}."


def _relative(pair: Contrast, case: str) -> str:
    relative = pair.over_layers["relative smoothness"].difference
    if not relative.has_interval:
        return f"Relative to the states' own size nothing can be said ({interval(relative, 4)})."
    agrees = "the same holds" if relative.side_of(0) == _SIDE[case] else "it is otherwise"
    steps = {1: "smaller steps in the model's text", -1: "larger steps in the model's text", 0: "no clear difference"}
    return f"Relative to the states' own size {agrees}: {steps[relative.side_of(0)]} ({interval(relative, 4)})."


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
