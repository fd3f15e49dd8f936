"""The page of the interventions on the model, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.pair_blocks import method_texts
from lit_experiments.experiments.introspection.passes import PASS_NAMES, SIGNIFICANT
from lit_experiments.experiments.introspection.patching.result import (
    Interventions,
    LayerEffects,
    PassEffects,
    Patching,
    Steering,
)
from lit_experiments.experiments.introspection.patching.statistics import PRIMARY
from lit_experiments.experiments.introspection.patching.words import (
    DIGITS,
    NAMES,
    UNITS,
    Effect,
    checked,
    is_clear,
    outcome,
)
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.document import DEMONSTRATION

_DRAWN = {"mcq": ("entropy", "accuracy")}
_TITLES = {"steer": "Steering, change per spread", "ablate": "Ablation, change", "patch": "Patching, change"}
_DEEDS = {"steer": "steering", "ablate": "ablation", "patch": "patching"}
_NO_CHANGE = blocks.Level("no change", 0.0)
_READING = (
    "Changes are against the same question left alone. Spread: standard deviation of all questions' projections on the "
    "direction. Random: central {level:.0%} range of {randoms} random directions moved by the same lengths. Control: "
    "the state of another question of low confidence. Share of the gap: of the gap between recipient and donor that "
    "the patch closes; a dash where there is no clear gap; all of it at the last block, where the state decides the "
    "answer alone. Clear: measures with a p of at most {significant} and an "
    "interval over all layers without 0."
)
_CAPTION = (
    "{kind}: change by layer. Steering: a line per multiple of the spread; grey: range of random directions at the "
    "largest. Ablation: the direction taken out; grey: random directions. Patching: from high and (control) from low "
    "confidence; dashed: the gap between recipients and donors."
)
_METHODS = (
    "All at the answer position of one layer, one thing at a time, on {questions} questions drawn at random (patching: "
    "{pairs} pairs), as many as there are at most. Steering: along the direction from low to high confidence (mcq: "
    "that of self-confidence) by {multiples} spreads; the slope of least squares through no change, per spread; p by "
    "the direction's rank among {random_directions} random ones, two-sided. Ablation: the part along the direction "
    "taken out; p likewise.",
    "Patching: the answer state of a question of high confidence put into one of low; control: that of another "
    "question of low confidence; p of their difference by {flips:,} sign flips of groups of alike "
    "questions. p-values are corrected "
    "over the layers of a pass by the largest statistic of every draw (max-T; sign flips are the same for all layers, "
    "random directions others, which makes it cautious). Accuracy: share of questions whose most "
    "probable letter is the (recipient's) key; key: its "
    "probability among the letters; outside: probability of all that is no letter. Directions come from all questions, "
    "these included.",
    "Intervals: {level:.0%}, over groups of alike questions (pairs); those of verdicts, and of the largest effects, "
    "hold for all layers of a pass together, those of tables and curves each by itself; seed {seed}.",
)


def interventions_page(result: Interventions, options: Mapping[str, Any], demonstration: bool) -> blocks.Page:
    """The page. options: the task's; demonstration: the data are the embedded model's."""
    multiples = ", ".join(f"{multiple:+g}" for multiple in result.multiples)
    counts = "; ".join(
        f"{PASS_NAMES[kind]}: {effects.questions} questions, {effects.pairs} pairs"
        for kind, effects in result.passes.items()
    )
    return blocks.Page(
        title="Introspection: interventions on the model",
        question="Does what the states hold of confidence also make the model confident: does it answer otherwise when "
        "these states are changed?",
        done=f"At {len(result.layers)} layers the answer state was steered along the direction of confidence, freed of "
        f"it, or replaced by that of a more confident question, and the model went on from there. "
        f"{f'{counts}.' if counts else 'No pass could be intervened on.'}",
        outcome=[*outcome(result), *result.statements],
        certainty=f"An effect counts where it stands out from {result.random_directions} random directions (patching: "
        f"from states of low confidence), corrected over layers, and its {result.interval_level:.0%} interval over "
        "questions leaves out 0. That a direction moves an answer does not say that the model uses it by itself.",
        sections=_sections(result),
        methods=method_texts(_METHODS, {**options, "multiples": multiples}, result.interval_level),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _sections(result: Interventions) -> list[blocks.Section]:
    if not result.passes:
        return []
    level, randoms = result.interval_level, result.random_directions
    reading = blocks.Note(_READING.format(level=level, randoms=randoms, significant=SIGNIFICANT))
    return [
        blocks.Section("What moves the answer, layer by layer", [_matrix(result), reading]),
        *(_pass_section(result, kind, effects) for kind, effects in result.passes.items()),
        blocks.Section("What was checked", [blocks.Note(line) for line in checked(result)]),
    ]


def _pass_section(result: Interventions, kind: str, effects: PassEffects) -> blocks.Section:
    parts: list[blocks.Block] = [_curves(result, kind, effects)]
    parts += [_table(result, name, kind, effects) for name in _TITLES]
    return blocks.Section(f"{kind}: {effects.questions} questions, {effects.pairs} pairs", parts)


def _matrix(result: Interventions) -> blocks.Matrix:
    """Layers by pass and intervention, for the measure that each pass is about."""
    columns = [(kind, name) for kind in result.passes for name in _TITLES]
    cells = [
        [_verdict(result.passes[kind].layers[index], name, PRIMARY[kind]) for kind, name in columns]
        for index in range(len(result.layers))
    ]
    names = [f"{PASS_NAMES[kind]}: {_DEEDS[name]} ({PRIMARY[kind]}, {_unit(kind, name)})" for kind, name in columns]
    return blocks.Matrix("effects", "", result.layers, names, cells, value="change", digits=3)


def _unit(kind: str, name: str) -> str:
    return UNITS[PRIMARY[kind]] + (" per spread" if name == "steer" else "")


def _verdict(layer: LayerEffects | None, name: str, measure: str) -> blocks.Verdict | None:
    if layer is None:
        return None
    scores = getattr(layer, name)[measure]
    if not is_clear(scores):
        like = "as the control does" if name == "patch" else "as random directions do"
        return blocks.Verdict("not shown", "open", scores.together, like if scores.together.side_of(0) else "")
    return blocks.Verdict("raises it" if scores.effect.value > 0 else "lowers it", "for", scores.together)


def _table(result: Interventions, name: str, kind: str, effects: PassEffects) -> blocks.Table:
    """One row per layer: the pass's own measure in full, then the others."""
    primary = PRIMARY[kind]
    first = next(layer for layer in effects.layers if layer is not None)
    others = [measure for measure in getattr(first, name) if measure != primary]
    columns = [Column("layer"), *([Column("spread", "number")] if name == "steer" else []), _column(primary)]
    if name == "patch":
        columns += [Column("control", "estimate", DIGITS[UNITS[primary]]), Column("share of the gap", "estimate", 2)]
    else:
        columns.append(Column("random", "number", DIGITS[UNITS[primary]]))
    columns += [Column("p", "p", meaning="corrected over layers"), Column("clear"), *map(_column, others)]
    rows = [
        [site, *([None] * (len(columns) - 1) if layer is None else _cells(name, layer, primary, others))]
        for site, layer in zip(result.layers, effects.layers, strict=True)
    ]
    return blocks.Table(f"{name}_{kind}", _TITLES[name], columns, rows)


def _column(measure: str) -> Column:
    return Column(f"{measure}, {UNITS[measure]}", "estimate", DIGITS[UNITS[measure]], f"change of {NAMES[measure]}")


def _cells(name: str, layer: LayerEffects, primary: str, others: Sequence[str]) -> list[blocks.Cell]:
    by_measure: dict[str, Effect] = getattr(layer, name)
    scores = by_measure[primary]
    cells: list[blocks.Cell] = [layer.spread] if isinstance(scores, Steering) else []
    cells.append(scores.shown)
    cells += [scores.control, scores.share] if isinstance(scores, Patching) else [scores.random.shown]
    clear = [measure for measure, effect in by_measure.items() if is_clear(effect)]
    return [*cells, scores.p_corrected, ", ".join(clear) or "-", *(by_measure[measure].shown for measure in others)]


def _curves(result: Interventions, kind: str, effects: PassEffects) -> blocks.Curves:
    held = [(site, layer) for site, layer in zip(result.layers, effects.layers, strict=True) if layer is not None]
    sites, layers = [site for site, _ in held], [layer for _, layer in held]
    panels = []
    for measure in _DRAWN.get(kind, ("confidence", "entropy")):
        label = f"change of {NAMES[measure]} ({UNITS[measure]})"
        for title, series in (
            ("Steering, in spreads", _steering(result, sites, [layer.steer[measure] for layer in layers])),
            ("Ablation", _ablation(sites, layers, measure)),
            ("Patching the answer state", _patching(sites, [layer.patch[measure] for layer in layers])),
        ):
            panels.append(blocks.Panel(f"{title}: {measure}", series, label, [_NO_CHANGE]))
    return blocks.Curves(f"patching_{kind}", _CAPTION.format(kind=kind), "layer", panels)


def _steering(result: Interventions, sites: Sequence[str], layers: Sequence[Steering]) -> list[blocks.Series]:
    series = [
        blocks.Series(f"{multiple:+g}", sites, [layer.changes[index] for layer in layers])
        for index, multiple in enumerate(result.multiples)
    ]
    widest = max(map(abs, result.multiples))
    ends = [index for index, multiple in enumerate(result.multiples) if abs(multiple) == widest]
    random = [[layer.random_changes[index] for index in ends] for layer in layers]
    ranges = [blocks.Range(min(r.low for r in of_layer), max(r.high for r in of_layer)) for of_layer in random]
    return [*series, blocks.Series("random directions", sites, ranges, "control")]


def _ablation(sites: Sequence[str], layers: Sequence[LayerEffects], measure: str) -> list[blocks.Series]:
    scores = [layer.ablate[measure] for layer in layers]
    return [
        blocks.Series("direction taken out", sites, [score.change for score in scores]),
        blocks.Series("random directions", sites, [score.random.shown for score in scores], "control"),
    ]


def _patching(sites: Sequence[str], layers: Sequence[Patching]) -> list[blocks.Series]:
    series = [
        blocks.Series("from high", sites, [layer.change for layer in layers]),
        blocks.Series("from low (control)", sites, [layer.control for layer in layers], "control"),
    ]
    if np.isfinite(layers[0].gap.value):
        series.append(blocks.Series("gap to the donor", sites, [layer.gap.value for layer in layers], "reference"))
    return series
