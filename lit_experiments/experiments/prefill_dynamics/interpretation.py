"""The sentences that the numbers choose. Knows estimates, not where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED
from lit_experiments.reports.tables import interval, model_name, number
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


def interpretation(
    contrasts: Sequence[Contrast],
    related: Mapping[str, Mapping[str, Correlation]],
    layers: Sequence[str],
    reader: str,
    generator: str,
) -> tuple[str | None, list[str]]:
    """The verdict on human against model text, and its sentences.

    Args:
        contrasts: the pairs in the variant that counts.
        related: correlations of cross-entropy with smoothness, as from `text_correlations`.
        layers: their names.
        reader, generator: names of the models that read and wrote.
    """
    found = next((c for c in contrasts if (c.a, c.b) == (HUMAN, MODEL)), None)
    others = [of_pair(c) for c in contrasts if (c.a, c.b) != (HUMAN, MODEL)]
    if found is None:
        return None, ["The store does not hold both human and model text.", *others]
    correlated, pooled = related["differences"][f"{HUMAN} - {MODEL}"], related["pooled"][f"{HUMAN} + {MODEL}"]
    case = verdict(found.over_layers["smoothness"].difference, correlated.pearson)
    return case, [*sentences(found, correlated, pooled, layers, reader, generator), *others]


def of_pair(pair: Contrast) -> str:
    """One sentence on a pair of conditions."""
    moved = pair.over_layers["smoothness"]
    if not moved.difference.has_interval:
        return f"{pair.b} against {pair.a}: too little data ({moved.n} paragraphs hold both)."
    how = {1: "more smoothly than", -1: "more roughly than", 0: "not seen to be smoother or rougher than"}
    side = moved.difference.side_of(0)
    verb = "moves the states" if side else "is"
    facts = f"{pair.name} {interval(moved.difference)}, d = {number(moved.d.value, 2)}, p = {_p(moved.p)}"
    return f"Reading {pair.b} {verb} {how[side]} reading {pair.a} ({facts})."


def sentences(
    found: Contrast, correlated: Correlation, pooled: Correlation, layers: Sequence[str], reader: str, generator: str
) -> list[str]:
    """What the comparison of human and model text says, for a reader who has not seen the tables."""
    moved, r = found.over_layers["smoothness"], correlated.pearson
    case = verdict(moved.difference, r)
    if case == UNKNOWN:
        why = f"{moved.n} paragraphs hold both"
        if moved.n >= LEAST_GROUPS:
            why = f"the difference in smoothness is {interval(moved.difference)}"
        return [f"Too little data to compare human and model text: {why}."]
    facts = (
        f"human minus model {interval(moved.difference)}, {_percent(moved.relative)} of the human value; "
        f"d = {number(moved.d.value, 2)}, t-test p = {_p(moved.p)}, {moved.n} paragraphs"
    )
    how = {
        SAME: f"neither more nor less smoothly, as far as {moved.n} paragraphs can tell (the interval holds zero)",
        ROUGHER: "more roughly",
    }.get(case, "more smoothly")
    text = "its own continuation" if reader == generator else f"the continuation that {model_name(generator)} wrote"
    opening = (
        f"Reading {text} moves the residual stream of {model_name(reader)} {how}, compared with reading the human one. "
        f"Mean step from token to token: {facts}."
    )
    by_layer = _by_layer(found, layers)
    repeats = _repetition(found, case)
    return [opening, by_layer, repeats, _surprise(found), _together(case, r), _relative(found, case), _pooled(pooled)]


def _by_layer(found: Contrast, layers: Sequence[str]) -> str:
    """At which layers the sign is sure: an average over layers may hide that they disagree."""
    tested = list(zip(layers, found.layers["smoothness"], found.p_holm["smoothness"], strict=True))
    sure = [(name, each.difference.value) for name, each, p in tested if p < SURE]
    parts = [
        f"{word} at {len(names)} ({', '.join(names)})"
        for word, names in (
            ("smoother", [name for name, value in sure if value > 0]),
            ("rougher", [name for name, value in sure if value < 0]),
        )
        if names
    ]
    told = "; ".join(parts) or "neither at any"
    return f"Layer by layer (t-test, p below {SURE} after Holm's correction), of {len(tested)} layers: {told}."


def _repetition(found: Contrast, case: str) -> str:
    """Whether the difference outlasts leaving out loops, and controlling for repetition."""
    rep, moved = found.repetition, found.over_layers["smoothness"]
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
    word = {0: "not told from 0", 1: "model text smoother", -1: "model text rougher"}[side]
    too = " too" if side and side == _SIDE[case] else ""
    return f"{interval(difference)} ({word}{too})"


def _surprise(found: Contrast) -> str:
    gap = found.ce.difference
    how = {1: "less surprising", -1: "more surprising", 0: "neither more nor less surprising"}[gap.side_of(0)]
    if not gap.has_interval:
        how = "not known to be more or less surprising"
    return (
        f"The model's text is {how} to it: cross-entropy {number(found.ce.mean_b)} against {number(found.ce.mean_a)} "
        f"nats per token, difference {interval(gap)}."
    )


def _together(case: str, r: Estimate) -> str:
    if not r.has_interval:
        return f"Whether surprise and movement go together cannot be told (Pearson of differences {interval(r, 2)})."
    said = {
        1: "Surprise and movement go together: in paragraphs where the human text is more surprising than the "
        "model's by a larger amount, it also moves the states more by a larger amount",
        -1: "Surprise and movement go against each other: in paragraphs where the human text is more surprising than "
        "the model's by a larger amount, its steps exceed the model's by less",
        0: "How much more surprising the human text of a paragraph is does not tell how much more it moves the states",
    }[r.side_of(0)]
    so = ", so the difference in smoothness is not explained by surprise at this level" if case == SMOOTHER else ""
    return f"{said} (Pearson of the paired differences {interval(r, 2)}){so}."


def _relative(found: Contrast, case: str) -> str:
    relative = found.over_layers["relative smoothness"].difference
    if not relative.has_interval:
        return f"Relative to the states' own size nothing can be told ({interval(relative, 4)})."
    agrees = "the same holds" if relative.side_of(0) == _SIDE[case] else "it is otherwise"
    how = {1: "smaller steps in the model's text", -1: "larger steps in the model's text", 0: "no clear difference"}
    return f"Relative to the states' own size {agrees}: {how[relative.side_of(0)]} ({interval(relative, 4)})."


def _pooled(pooled: Correlation) -> str:
    return (
        "Over all human and model texts pooled, cross-entropy and smoothness correlate with "
        f"{interval(pooled.pearson, 2)}; that number mixes the difference between the two kinds of text with the "
        "differences among texts of one kind and must not be read as either."
    )


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"


def _p(value: float) -> str:
    return "-" if value != value else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
