"""The page of the comparison of self and other, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.pair_blocks import method_texts
from lit_experiments.experiments.introspection.passes import CONFIDENCE_PASSES, OTHER, PASS_NAMES, SELF, SIGNIFICANT
from lit_experiments.experiments.introspection.self_other.result import Carried, PassPair, SelfOther, Transfer
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import power_of_correlations

_ALIKE = (
    Column("layer"),
    Column("cosine", "estimate", 3, "of the states, mean over questions", "cosine"),
    Column("cosine, unrelated", "number", 3, "the same for pairs of different questions", "cosine_shuffled"),
    Column("centered", "estimate", 3, "cosine after subtracting each pass's mean state", "cosine_centered"),
    Column("centered, unrelated", "number", of="cosine_centered_shuffled"),
    Column("CKA", "number", 3, "linear CKA of the two sets of states", "cka"),
    Column("CKA, unrelated", "number", 3, "after permuting the questions of one pass", "cka_shuffled"),
    Column(
        "angles",
        "number",
        1,
        "mean principal angle of the leading subspaces, in degrees",
        lambda layer: float(np.mean(layer.angles)),
    ),
    Column(
        "halves",
        "number",
        1,
        "the first pass on one half of the questions against the second on the other half",
        "angle_halves",
    ),
    Column(
        "within",
        "number",
        1,
        "the first pass against itself on the two halves: what sampling alone makes",
        "angle_within",
    ),
)
_GAP = "minus the probe trained on the evaluated pass itself"
_TRANSFER = (
    Column("layer"),
    Column("trained on", of=lambda score: PASS_NAMES[score.trained]),
    Column("evaluated on", of=lambda score: PASS_NAMES[score.evaluated]),
    Column("R2", "estimate", 3, "asks for the right level too; below 0 when the passes' states are shifted", "r2"),
    Column("Spearman", "estimate", 3, "asks for the order alone", "spearman"),
    Column("p", "p", 3, "Spearman above 0, by permuting questions, corrected (max-T)", "p_corrected"),
    Column("gap in R2", "estimate", 3, _GAP, "gap_r2"),
    Column("gap in Spearman", "estimate", 3, _GAP, "gap_spearman"),
)
_ALIKE_NOTE = (
    "Answer-position states of the same questions in two passes. Unrelated: pairs of different questions, which is "
    "what a number has to be compared with. Angles: mean of the {rank} principal angles in degrees between the leading "
    "{rank}-dimensional subspaces; halves: the first pass on one half of the questions against the second pass on the "
    "other half; within: against the first pass itself on that other half, the angle that sampling alone makes. A "
    "dash: no value, as where the states of a layer do not differ."
)
_ALIKE_CAPTION = (
    "Likeness of the passes' states over layers. Controls: pairs of different questions (first two panels); one pass "
    "against itself on the two halves (third panel)."
)
_TRANSFER_NOTE = (
    "Scores on {test} questions seen in neither pass ({train} to train on). Gap: transferred minus within, on the same "
    "questions. Spearman between the two confidences themselves on these questions: {between}; where these go "
    "together, a probe may carry over for that reason alone."
)
_METHODS = (
    "Likeness: per layer, cosine of the same question's states in two passes, of the states and after subtracting each "
    "pass's mean state, averaged over questions; linear CKA; principal angles of the leading {rank} principal "
    "components. Controls: {shuffles} pairings of different questions.",
    "Transfer: a ridge of expected confidence from the answer-position state, trained on one pass and evaluated on "
    "states and confidence of the other, next to one trained on that pass itself. {test_fraction:.0%} of the questions "
    "are held out, the same in both passes; the penalty (of {penalties}) is chosen by {folds} folds of the other "
    "questions. p: Spearman above 0 against {permutations} permutations of the groups of alike test questions, "
    "one-sided, corrected by the largest statistic of each permutation, which all layers and pairs of passes share "
    "(max-T).",
    "Intervals: {level:.0%}, over questions; those of verdicts and of the highest hold for all layers and pairs of "
    "passes together; seed {seed}.",
)


def self_other_page(result: SelfOther, options: Mapping[str, Any], demonstration: bool) -> blocks.Page:
    """The page. options: the task's; demonstration: the data are the embedded model's."""
    return blocks.Page(
        title="Introspection: self against other",
        question="Does the model hold its own confidence in the same place, and in the same form, as the confidence "
        "that it ascribes to others?",
        done=_done(result),
        outcome=[*_outcome(result), *result.statements],
        certainty=f"Intervals are {result.interval_level:.0%}, over questions; p-values are corrected over layers "
        "and pairs of passes. Likeness is no evidence of a common code by itself: the columns of "
        "unrelated questions say how "
        "alike states are that have nothing in common but the prompt.",
        sections=[*_transfer_section(result), *_alike_section(result)],
        methods=method_texts(_METHODS, options, result.interval_level),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _done(result: SelfOther) -> str:
    pairs = ", ".join(f"{_pair(pair)} ({pair.questions} questions)" for pair in result.pairs)
    compared = f"States at the answer position were compared between {pairs}" if pairs else "No states were compared"
    if result.transfer is None:
        return f"{compared} at {len(result.layers)} layers."
    return (
        f"{compared} at {len(result.layers)} layers; a linear probe of confidence was trained on self and on other "
        f"({result.transfer.questions.train} questions) and tested on both ({result.transfer.questions.test})."
    )


def _outcome(result: SelfOther) -> list[str]:
    lines = []
    if result.transfer is not None:
        lines += [_carried(result, result.transfer, *kinds) for kinds in ((SELF, OTHER), (OTHER, SELF))]
    for pair in result.pairs:
        known = [index for index, layer in enumerate(pair.layers) if not np.isnan(layer.cosine_centered.value)]
        if known:
            known.sort(key=lambda index: pair.layers[index].cosine_centered.value)
            low, high = (
                f"{interval(pair.layers[index].cosine_centered, 2)} ({result.layers[index]})"
                for index in (known[0], known[-1])
            )
            lines.append(f"States of {_pair(pair)}, minus their pass's mean: cosine from {low} to {high}.")
    return lines


def _carried(result: SelfOther, transfer: Transfer, trained: str, evaluated: str) -> str:
    """At how many layers a probe carries over, and what it loses where it does best."""
    scores = [_of(layer, trained, evaluated) for layer in transfer.layers]
    clear = [index for index, score in enumerate(scores) if _verdict(score).tone == "for"]
    names = PASS_NAMES[trained], PASS_NAMES[evaluated]
    if not clear:
        return (
            f"A probe trained on {names[0]} is not shown to order the confidence of {names[1]} better than chance at "
            f"any of {len(scores)} layers{power_of_correlations([score.together for score in scores])}."
        )
    best = max(clear, key=lambda index: scores[index].spearman.value)
    gap = scores[best].gap_spearman
    assert gap is not None, "passes differ"
    return (
        f"A probe trained on {names[0]} orders the confidence of {names[1]} better than chance at {len(clear)} of "
        f"{len(scores)} layers (highest at {result.layers[best]}: Spearman {interval(scores[best].together, 2)}; minus "
        f"that of a probe trained on {names[1]} itself: {interval(gap, 2)})."
    )


def _verdict(score: Carried) -> blocks.Verdict:
    """Whether a probe orders the confidence of a pass's unseen questions better than chance."""
    if np.isnan(score.spearman.value):
        return blocks.Verdict("no value", "void")
    if score.p_corrected <= SIGNIFICANT and score.together.side_of(0) > 0:
        return blocks.Verdict("reads it", "for", score.together)
    return blocks.Verdict("not shown", "open", score.together)


def _transfer_section(result: SelfOther) -> list[blocks.Section]:
    if result.transfer is None:
        return []
    pairs = [(trained, evaluated) for evaluated in CONFIDENCE_PASSES for trained in CONFIDENCE_PASSES]
    matrix = blocks.Matrix(
        "transfer_verdicts",
        "Does a probe of confidence read the states?",
        result.layers,
        [f"{PASS_NAMES[trained]} on {PASS_NAMES[evaluated]}" for trained, evaluated in pairs],
        [[_verdict(_of(layer, *pair)) for pair in pairs] for layer in result.transfer.layers],
        value="Spearman",
    )
    rule = blocks.Note(
        f"Trained on the first pass, evaluated on the second. Reads it: p at most {SIGNIFICANT} and an interval "
        "of Spearman over all layers and pairs of passes above 0."
    )
    note = _TRANSFER_NOTE.format(
        between=interval(result.transfer.confidences_spearman),
        train=result.transfer.questions.train,
        test=result.transfer.questions.test,
    )
    scores = ((name, s) for name, layer in zip(result.layers, result.transfer.layers, strict=True) for s in layer)
    table = blocks.Table.of("transfer", "Scores on unseen questions", _TRANSFER, scores, most=66)
    parts: list[blocks.Block] = [matrix, rule, _transfer_curves(result, result.transfer), table, blocks.Note(note)]
    return [blocks.Section("Transfer of a probe of confidence", parts)]


def _transfer_curves(result: SelfOther, transfer: Transfer) -> blocks.Curves:
    panels = []
    for evaluated in CONFIDENCE_PASSES:
        series = [
            blocks.Series(
                f"trained on {PASS_NAMES[trained]}",
                result.layers,
                [_of(layer, trained, evaluated).spearman for layer in transfer.layers],
            )
            for trained in CONFIDENCE_PASSES
        ]
        levels = [blocks.Level("no order", 0.0)]
        panels.append(
            blocks.Panel(f"Evaluated on {PASS_NAMES[evaluated]}", series, "Spearman on unseen questions", levels)
        )
    caption = "Spearman on unseen questions of ridges trained on the same and on the other pass."
    return blocks.Curves("transfer_layers", caption, "layer", panels)


def _of(layer: Sequence[Carried], trained: str, evaluated: str) -> Carried:
    (score,) = [s for s in layer if (s.trained, s.evaluated) == (trained, evaluated)]
    return score


def _alike_section(result: SelfOther) -> list[blocks.Section]:
    if not result.pairs:
        return []
    tables = [
        blocks.Table.of(
            "alike_" + "_".join(pair.passes),
            f"{_pair(pair)}: {pair.questions} questions",
            _ALIKE,
            zip(result.layers, pair.layers, strict=True),
        )
        for pair in result.pairs
    ]
    note = blocks.Note(_ALIKE_NOTE.format(rank=result.rank))
    return [blocks.Section("Likeness of the passes' states", [_alike_curves(result), *tables, note])]


def _alike_curves(result: SelfOther) -> blocks.Curves:
    measures = (
        ("States minus their pass's mean", "mean cosine", "cosine_centered", "cosine_centered_shuffled", (-0.1, 1.05)),
        ("Geometry of the questions", "linear CKA", "cka", "cka_shuffled", (-0.05, 1.05)),
        ("Leading subspaces", "mean principal angle (degrees)", "angle_halves", "angle_within", (0.0, 92.0)),
    )
    panels = []
    for title, label, value, control, bounds in measures:
        series = []
        for pair in result.pairs:
            values, controls = ([getattr(layer, name) for layer in pair.layers] for name in (value, control))
            series.append(blocks.Series(_pair(pair), result.layers, values))
            series.append(blocks.Series(f"{_pair(pair)}: control", result.layers, controls, "control"))
        panels.append(blocks.Panel(title, series, label, bounds=bounds))
    return blocks.Curves("likeness", _ALIKE_CAPTION, "layer", panels)


def _pair(pair: PassPair) -> str:
    return " and ".join(PASS_NAMES[kind] for kind in pair.passes)
