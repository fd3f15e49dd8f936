"""The page of the comparison of base and finetuned, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lit_experiments.experiments.introspection.compare.result import Changed, Comparison, ProbeChange
from lit_experiments.experiments.introspection.pair_blocks import pair_matrix, target_panels
from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probe_data import CONFIDENCE, SURFACE
from lit_experiments.experiments.introspection.scoring import NAMES as SCORE_NAMES
from lit_experiments.reports.blocks import (
    Block,
    Cell,
    Column,
    Curves,
    Level,
    Note,
    Page,
    Panel,
    Section,
    Series,
    Table,
    Verdict,
)
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

_NAMED = 4  # changes that a sentence names
_CHANGE = (
    Column("base", "estimate"),
    Column("finetuned", "estimate"),
    Column("finetuned - base", "estimate", meaning="paired by question"),
)
_SCORES = (
    Column("score"),
    *_CHANGE,
    Column("both", "estimate", meaning="share of questions that both runs answer alike"),
)
_STATES = (
    Column("layer"),
    Column("cosine", "estimate", 4, "mean over questions of the states of both runs"),
    Column("CKA", "number", 4, "linear CKA of the two sets of states"),
    Column("length of change / length", "estimate", 4, "mean length of the change over mean length of the state"),
    Column("largest difference", "number", None, "of any one number; exactly 0 where nothing changed"),
)
_DIRECTIONS = (Column("layer"), *_CHANGE, Column("cosine", "estimate", meaning="of the two runs' directions"))
_PROBES = (
    Column("target"),
    Column("states of"),
    Column("score"),
    Column("base", "estimate"),
    Column("chosen in base", meaning="layer that cross-validation chose in the base run"),
    Column("finetuned", "estimate"),
    Column("chosen in finetuned"),
    Column("finetuned - base", "estimate", meaning="paired by question"),
    Column("beyond surface", "estimate", meaning="change in what the states add to surface features"),
    Column("beyond confidence", "estimate", meaning="change in what the states add to the pass's output confidence"),
)
_SCORES_NOTE = (
    "Over the questions that both runs hold. Confidence is a probability here, 0 to 1. ECE with ten bins. Same answer: "
    "options are compared, not letters."
)
_STATES_NOTE = "Answer-position states of the same question in both runs."
_DIRECTIONS_NOTE = (
    "Held-out AUROC of the direction from low to high confidence, each run with its own high and low questions (the "
    "outer {share:.0%}), and the paired difference; last, the cosine between the two runs' directions, sampling noise "
    "removed. A dash: no value, as where a layer's states do not differ or no direction rises above the noise."
)
_PROBES_NOTE = (
    "Test scores of the layerwise probes, each run at the layer that cross-validation chose there, and the paired "
    "difference; each run's probe predicts its own model's values. Beyond surface, beyond confidence: change in what "
    "the states add to surface features, or to the pass's own output confidence, alone."
)
_LIKENESS_NOTE = (
    "Cosine of the self- and the other-confidence state of a question, each minus its pass's mean, averaged over "
    "questions: how much of what tells questions apart the two passes share."
)
_METHODS = (
    "Two runs over the same questions, paired: every difference is finetuned minus base on the same resamples of the "
    "questions that both hold. Directions: as in introspection_directions, {folds} folds by question, the outer "
    "{share:.0%} of the questions by confidence, each run's own. Probes: the held-out predictions that "
    "introspection_probes left in both runs; nothing is fitted again.",
    "Intervals: {level:.0%}, {bootstraps} resamples of the bootstrap over questions; seed {seed}.",
)


def comparison_page(result: Comparison, options: Mapping[str, Any], demonstration: bool) -> Page:
    """The page. options: the task's; demonstration: the data are the embedded model's."""
    counts = ", ".join(f"{n} in {PASS_NAMES[kind]}" for kind, n in result.questions.items())
    return Page(
        title="Introspection: base against finetuned",
        question="What did finetuning change: the answers, the confidence in them, the states behind both?",
        done=f"Base: {result.runs.base.model}. Finetuned: {result.runs.finetuned.model}. Questions that both hold: "
        f"{counts}.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, from a bootstrap over questions that pairs the runs. A "
        "change counts as one where the interval of the difference leaves out 0; this is not corrected for the number "
        "of comparisons, so one in twenty of those that changed nothing may look like one.",
        sections=[section for section in _sections(result) if section.blocks],
        methods=[line.format(level=result.interval_level, **options) for line in _METHODS],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: Comparison) -> list[str]:
    lines = []
    scores = {row.score: row.difference for row in result.scores if row.difference is not None}
    if scores:
        lines.append(f"Answers and confidence: {_listed(scores)}.")
    lines += [line for line in [_untouched(result)] if line]
    for kind, layers in result.directions.items():
        lines.append(f"Separation of high and low {PASS_NAMES[kind]}-confidence: {_largest(result.layers, layers)}.")
    if result.self_other is not None:
        lines.append(f"Likeness of self and other: {_largest(result.layers, result.self_other)}.")
    if result.probes:
        probes = {f"{p.target} from {PASS_NAMES[p.states]}": p.chosen.difference for p in result.probes}
        lines.append(f"Probes: {_listed(probes)}.")
    return lines


def _listed(differences: Mapping[str, Estimate]) -> str:
    """Which of several scores, each in a unit of its own, are shown to have changed."""
    shown = [f"{name} by {interval(change)}" for name, change in differences.items() if change.side_of(0)]
    if not shown:
        return f"no change shown in any of {len(differences)} scores"
    names = ", ".join(shown[:_NAMED]) + (", ..." if len(shown) > _NAMED else "")
    return f"{len(shown)} of {len(differences)} scores changed ({names})"


def _largest(names: Sequence[str], layers: Sequence[Changed]) -> str:
    """At how many layers a change is shown, and the largest of these."""
    shown = [(name, layer.difference) for name, layer in zip(names, layers, strict=True) if layer.difference.side_of(0)]
    if not shown:
        return f"no change shown at any of {len(layers)} layers"
    name, change = max(shown, key=lambda pair: abs(pair[1].value))
    return f"changed at {len(shown)} of {len(layers)} layers (most at {name}, by {interval(change)})"


def _untouched(result: Comparison) -> str:
    """A sentence on the first layers whose states are bit for bit the same in every pass; empty if there are none."""
    count = 0
    for layers in zip(*result.states.values(), strict=True):
        if any(layer.largest_difference for layer in layers):
            break
        count += 1
    if not count:
        return ""
    if count == len(result.layers):
        return "No state of any layer differs."
    return f"Up to {result.layers[count - 1]} the states are the same bit for bit; {result.layers[count]} differs."


def _sections(result: Comparison) -> list[Section]:
    return [
        Section("Answers and confidence", _score_blocks(result)),
        Section("Over layers", [_curves(result)]),
        Section("States", [*_state_tables(result), Note(_STATES_NOTE)]),
        Section("Directions of confidence", _direction_blocks(result)),
        Section("Likeness of self and other", _likeness_blocks(result)),
        Section("Probes", _probe_blocks(result)),
        Section("What is missing, and why", [Note(line) for line in result.statements]),
    ]


def _score_blocks(result: Comparison) -> list[Block]:
    if not result.scores:
        return []
    rows: list[list[Cell]] = [[row.score, row.base, row.finetuned, row.difference, row.both] for row in result.scores]
    return [Table("scores", "", _SCORES, rows), Note(_SCORES_NOTE)]


def _state_tables(result: Comparison) -> list[Block]:
    tables: list[Block] = []
    for kind, layers in result.states.items():
        rows: list[list[Cell]] = [
            [name, layer.cosine, layer.cka, layer.relative_change, layer.largest_difference]
            for name, layer in zip(result.layers, layers, strict=True)
        ]
        tables.append(Table(f"states_{kind}", f"States: {kind}", _STATES, rows))
    return tables


def _direction_blocks(result: Comparison) -> list[Block]:
    blocks: list[Block] = []
    for kind, layers in result.directions.items():
        rows: list[list[Cell]] = [
            [name, *_change(layer), layer.cosine] for name, layer in zip(result.layers, layers, strict=True)
        ]
        blocks.append(Table(f"directions_{kind}", f"Directions of confidence: {kind}", _DIRECTIONS, rows))
    return [*blocks, Note(_DIRECTIONS_NOTE.format(share=result.share))] if blocks else []


def _likeness_blocks(result: Comparison) -> list[Block]:
    if result.self_other is None:
        return []
    rows = [[name, *_change(layer)] for name, layer in zip(result.layers, result.self_other, strict=True)]
    return [Table("likeness", "", (Column("layer"), *_CHANGE), rows), Note(_LIKENESS_NOTE)]


def _change(changed: Changed) -> list[Cell]:
    return [changed.base, changed.finetuned, changed.difference]


def _curves(result: Comparison) -> Curves:
    """How far states moved; separation and likeness in both runs."""
    moved = [
        Series(f"{PASS_NAMES[kind]}, finetuned", result.layers, [layer.relative_change for layer in layers])
        for kind, layers in result.states.items()
    ]
    panels = [Panel("States moved by finetuning", moved, "length of change / length of state", bounds=(0, None))]
    if result.directions:
        series = [
            line
            for kind, layers in result.directions.items()
            for line in _both_runs(PASS_NAMES[kind], result.layers, layers)
        ]
        chance = [Level("chance", 0.5)]
        panels.append(Panel("Separation of confidence", series, "held-out AUROC, high versus low", chance, (0, 1.04)))
    if result.self_other is not None:
        series = _both_runs("self and other", result.layers, result.self_other)
        panels.append(Panel("Likeness of self and other", series, "mean cosine", [Level("no likeness", 0.0)]))
    caption = (
        "Length of the change that finetuning made, over the length of the state; held-out AUROC of the directions of "
        "confidence; likeness of self and other. Base: grey and dashed."
    )
    return Curves("over_layers", caption, "layer", panels)


def _both_runs(name: str, layers: Sequence[str], changes: Sequence[Changed]) -> list[Series]:
    return [
        Series(f"{name}, base", layers, [change.base for change in changes], "reference"),
        Series(f"{name}, finetuned", layers, [change.finetuned for change in changes]),
    ]


def _probe_blocks(result: Comparison) -> list[Block]:
    if not result.probes:
        return []
    rows = [_probe_row(probe) for probe in result.probes]
    matrix = pair_matrix("probe_changes", result.probes, _verdict, "finetuned - base")
    rule = "Test score at each run's chosen layer, finetuned minus base; higher or lower: its interval leaves out 0."
    table = Table("probes", "In numbers", _PROBES, rows)
    return [matrix, Note(rule), _probe_curves(result), table, Note(_PROBES_NOTE)]


def _probe_row(probe: ProbeChange) -> list[Cell]:
    chosen = probe.chosen
    beyond: list[Cell] = [
        probe.gains[name].difference if name in probe.gains else None for name in (SURFACE, CONFIDENCE)
    ]
    scores: list[Cell] = [chosen.base, chosen.at[0], chosen.finetuned, chosen.at[1], chosen.difference]
    return [probe.target, PASS_NAMES[probe.states], SCORE_NAMES[probe.score], *scores, *beyond]


def _verdict(probe: ProbeChange) -> Verdict:
    difference = probe.chosen.difference
    side = difference.side_of(0)
    if not side:
        return Verdict("no change shown", "open", difference)
    return Verdict("higher" if side > 0 else "lower", "for" if side > 0 else "against", difference)


def _probe_curves(result: Comparison) -> Curves:
    def series(probes: list[ProbeChange]) -> list[Series]:
        lines = []
        for probe in probes:
            base, tuned = _both_runs(f"states of {PASS_NAMES[probe.states]}", result.layers, probe.layers)
            lines += [replace(base, y=[layer.base.value for layer in probe.layers]), tuned]
        return lines

    panels = target_panels(result.probes, series, lambda probes: [Level("chance", probes[0].chance)])
    caption = (
        "Test scores of the probes by layer, one panel per target, one colour per pass whose states are read; base "
        "grey and dashed, without its intervals, which the table holds at the chosen layer."
    )
    return Curves("probes_by_layer", caption, "layer", panels)
