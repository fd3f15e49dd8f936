"""The page of the directions of confidence, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.directions.result import DirectionLayer, Directions, PassDirections
from lit_experiments.experiments.introspection.pair_blocks import method_texts
from lit_experiments.experiments.introspection.passes import PASS_NAMES, SIGNIFICANT
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import power_of_all

_LAYER = (
    Column("layer"),
    Column("AUROC", "estimate", 3, "of projections on the direction of the other folds, high versus low", "auroc"),
    Column("shuffled", "estimate", 3, "the same after permuting labels: mean and central range", "shuffled.shown"),
    Column("p", "p", 3, "from the shuffled labels, corrected over the layers of the pass (max-T)", "p_corrected"),
    Column("Cohen's d", "estimate", 2, "of the same projections", "cohens_d"),
    Column("ridge AUROC", "estimate", 3, "held out, of a ridge of confidence on the same training rows", "ridge.auroc"),
    Column("cosine to ridge", "number", of="ridge.cosine", meaning="of its weights to the direction, mean over folds"),
    Column("signal", "number", 2, "share of the direction's squared length that is not sampling noise", "signal_share"),
    Column("spread", "number", 3, "standard deviation of all questions' projections, the unit for steering", "spread"),
)
_BETWEEN = (
    Column("layer"),
    Column("cosine, noise removed", "estimate", of="cosine"),
    Column("cosine as estimated", "number", of="plain_cosine"),
)
_NOTE = (
    "AUROC and Cohen's d: of projections on the direction of the other folds, pairs compared within a fold. Shuffled: "
    "mean and {level:.0%} range of the AUROC after permuting labels between questions ({shuffles} times); p from the "
    "same. Ridge: confidence from the states of the same training rows; the cosine of its weights to the direction is "
    "below 1 also where both point at one thing, as a ridge discounts noisy dims. Signal: about 0, above or below, "
    "where there is nothing but sampling noise. A dash: no value, as where the states of a layer do not differ."
)
_BETWEEN_NOTE = (
    "Cosine of the self- and the other-confidence direction. Noise removed: products of a question with itself are "
    "left out, so neither sampling noise nor what one question brings into both passes counts; a dash where no "
    "direction rises above the noise; may slightly exceed 1."
)
_CAPTION = (
    "Separation: held-out AUROC of the direction of each pass, with intervals, and with shuffled labels (range). Self "
    "versus other: cosine of the two directions. Ridge: cosine of each direction to a ridge's weights; band: range "
    "over folds."
)
_METHODS = (
    "Direction: mean answer-position state of the questions of high confidence minus that of those of low confidence, "
    "the outer {share:.0%} each by the pass's expected confidence, as a unit vector, per layer. Held out: {folds} "
    "folds by question; a question is projected on the direction of the other folds, and pairs are compared within a "
    "fold. p: rank of the AUROC among {shuffles} labelings permuted within folds between groups of alike questions, "
    "corrected by the largest statistic of each labeling over the layers of a pass (max-T).",
    "Ridge: of confidence on standardised states, the penalty (of {penalties}) chosen by folds inside each training "
    "part. Cosine without noise: from products of different questions only, as in a U-statistic.",
    "Intervals: {level:.0%}, over questions, those of verdicts and of the best layer for all layers together; "
    "of cosines from {bootstraps} resamples; seed {seed}. Directions over all "
    "questions of high and low confidence are in directions.safetensors, for steering.",
)


def directions_page(result: Directions, options: Mapping[str, Any], demonstration: bool) -> blocks.Page:
    """The page. options: the task's; demonstration: the data are the embedded model's."""
    return blocks.Page(
        title="Introspection: directions of confidence",
        question="Is there a direction in the model's states along which confident and unconfident questions lie "
        "apart, and is it the same for its own confidence and for the confidence that it ascribes to others?",
        done=_done(result),
        outcome=[*_outcome(result), *result.statements],
        certainty=f"Intervals are {result.interval_level:.0%}, over questions; p-values come from "
        f"{result.shuffles} permutations of the labels and are corrected over layers. A direction that separates need "
        "not be one that the model uses: interventions test that.",
        sections=_sections(result),
        methods=method_texts(_METHODS, options, result.interval_level),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _done(result: Directions) -> str:
    if not result.passes:
        return "No pass has questions of high and of low confidence to compare."
    counts = "; ".join(f"{PASS_NAMES[kind]}: {_setting(numbers)}" for kind, numbers in result.passes.items())
    return (
        f"At {len(result.layers)} layers the mean state of the most confident questions was compared with that of the "
        f"least confident, and tested on questions left out ({result.folds} folds). {counts}."
    )


def _setting(numbers: PassDirections) -> str:
    lower, upper = numbers.thresholds
    return (
        f"{numbers.questions} questions, {numbers.low} of low confidence (at most {lower:.1f} %), {numbers.high} of "
        f"high (at least {upper:.1f} %)"
    )


def _outcome(result: Directions) -> list[str]:
    lines = [_separation(result, kind, numbers) for kind, numbers in result.passes.items()]
    between = result.self_other or []
    known = [layer for layer, numbers in enumerate(between) if not np.isnan(numbers.cosine.value)]
    if between and not known:
        lines.append("At no layer do both directions rise above the noise, so they are not compared.")
    if known:
        known.sort(key=lambda layer: between[layer].cosine.value)
        ends = [f"{interval(between[layer].cosine, 2)} ({result.layers[layer]})" for layer in (known[0], known[-1])]
        lines.append(
            f"Cosine of the two passes' directions, sampling noise removed: {' to '.join(dict.fromkeys(ends))}."
        )
    return lines


def _separation(result: Directions, kind: str, numbers: PassDirections) -> str:
    """At how many layers a pass's direction separates, and where it does best."""
    clear = [layer for layer, scores in enumerate(numbers.layers) if _verdict(scores).tone == "for"]
    together = [scores.together for scores in numbers.layers]
    if not clear:
        return (
            f"{PASS_NAMES[kind].capitalize()}: the direction is not shown to separate unseen questions of high and low "
            f"confidence at any of {len(result.layers)} layers{power_of_all(together, 'a distance from 0.5')}."
        )
    best = max(clear, key=lambda layer: numbers.layers[layer].auroc.value)
    return (
        f"{PASS_NAMES[kind].capitalize()}: the direction separates unseen questions of high and low confidence at "
        f"{len(clear)} of {len(result.layers)} layers (best at {result.layers[best]}: AUROC "
        f"{interval(numbers.layers[best].together)})."
    )


def _verdict(scores: DirectionLayer) -> blocks.Verdict:
    """Whether a direction separates questions that it has not seen."""
    if np.isnan(scores.auroc.value):
        return blocks.Verdict("no value", "void")
    clear = scores.p_corrected <= SIGNIFICANT and scores.together.side_of(0.5) > 0
    return blocks.Verdict("separates" if clear else "not shown", "for" if clear else "open", scores.together)


def _sections(result: Directions) -> list[blocks.Section]:
    if not result.passes:
        return []
    cells = [
        [_verdict(numbers.layers[layer]) for numbers in result.passes.values()] for layer in range(len(result.layers))
    ]
    names = [PASS_NAMES[kind] for kind in result.passes]
    title = "Does the direction separate unseen questions?"
    matrix = blocks.Matrix("separation_verdicts", title, result.layers, names, cells, value="AUROC", digits=3)
    rule = f"Separates: p at most {SIGNIFICANT} and an interval of the held-out AUROC over all layers above 0.5."
    tables = [_table(result, kind, numbers) for kind, numbers in result.passes.items()]
    note = blocks.Note(_NOTE.format(level=result.interval_level, shuffles=result.shuffles))
    sections = [
        blocks.Section("Separation over layers", [matrix, blocks.Note(rule), _curves(result)]),
        blocks.Section("Each pass in numbers", [*tables, note]),
    ]
    if result.self_other:
        labelled = zip(result.layers, result.self_other, strict=True)
        parts: list[blocks.Block] = [blocks.Table.of("between", "", _BETWEEN, labelled), blocks.Note(_BETWEEN_NOTE)]
        sections.append(blocks.Section("Direction of self versus direction of other", parts))
    return sections


def _table(result: Directions, kind: str, numbers: PassDirections) -> blocks.Table:
    labelled = zip(result.layers, numbers.layers, strict=True)
    return blocks.Table.of(f"separation_{kind}", f"{kind}: {_setting(numbers)}", _LAYER, labelled)


def _curves(result: Directions) -> blocks.Curves:
    separation, ridge = [], []
    for kind, numbers in result.passes.items():
        separation.append(blocks.Series(PASS_NAMES[kind], result.layers, [layer.auroc for layer in numbers.layers]))
        shuffled = [layer.shuffled.shown for layer in numbers.layers]
        separation.append(blocks.Series(f"{PASS_NAMES[kind]}, shuffled labels", result.layers, shuffled, "control"))
        ridge.append(blocks.Series(PASS_NAMES[kind], result.layers, _over_folds(numbers.layers)))
    panels = [
        blocks.Panel(
            "Separation", separation, "held-out AUROC, high versus low", [blocks.Level("chance", 0.5)], (0, 1.04)
        )
    ]
    if result.self_other:
        between = [
            blocks.Series("noise removed", result.layers, [layer.cosine for layer in result.self_other]),
            blocks.Series(
                "as estimated", result.layers, [layer.plain_cosine for layer in result.self_other], "control"
            ),
        ]
        panels.append(
            blocks.Panel("Self versus other direction", between, "cosine", [blocks.Level("no likeness", 0.0)])
        )
    panels.append(blocks.Panel("Direction versus ridge weights", ridge, "cosine", [blocks.Level("no likeness", 0.0)]))
    return blocks.Curves("directions", _CAPTION, "layer", panels)


def _over_folds(layers: Sequence[DirectionLayer]) -> list[blocks.Range]:
    """Cosine to the ridge, with its range over folds."""
    ridges = [layer.ridge for layer in layers]
    return [blocks.Range(ridge.cosine_lowest, ridge.cosine_highest, ridge.cosine) for ridge in ridges]
