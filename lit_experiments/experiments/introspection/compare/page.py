"""The page of the comparison of base and finetuned, as blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lit_experiments.experiments.introspection.compare.result import Changed, Comparison, ProbeChange, StateChange
from lit_experiments.experiments.introspection.pair_blocks import (
    PAIR,
    left_out,
    method_texts,
    pair_matrix,
    score_name,
    target_panels,
)
from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probe_data import CONFIDENCE, SURFACE
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import power_of_all
from lit_experiments.statistics import Estimate

_NAMED = 4  # changes that a sentence names
_CHANGE = (
    Column("base", "estimate", of="base"),
    Column("finetuned", "estimate", of="finetuned"),
    Column("finetuned - base", "estimate", 3, "paired by question", "difference"),
)
_SCORES = (
    Column("score", of="score"),
    *_CHANGE,
    Column("both", "estimate", 3, "share of questions that both runs answer alike", "both"),
)
_STATES = (
    Column("layer"),
    Column("cosine", "estimate", 4, "mean over questions of the states of both runs", "cosine"),
    Column("CKA", "number", 4, "linear CKA of the two sets of states", "cka"),
    Column("length of change / length", "estimate", 4, "mean length of both, change over state", "relative_change"),
    Column(
        "largest difference", "number", None, "of any number; exactly 0 where nothing changed", "largest_difference"
    ),
)
_DIRECTIONS = (Column("layer"), *_CHANGE, Column("cosine", "estimate", 3, "of the two runs' directions", "cosine"))
_LIKENESS = (Column("layer"), *_CHANGE)


def _beyond(control: str) -> Callable[[ProbeChange], Estimate | None]:
    """Of a probe the change in what the states add to a control."""
    return lambda probe: probe.gains[control].difference if control in probe.gains else None


_PROBES = (
    *PAIR,
    Column("score", of=score_name),
    Column("base", "estimate", of="chosen.base"),
    Column("chosen in base", meaning="layer that cross-validation chose in the base run", of=lambda p: p.chosen.at[0]),
    Column("finetuned", "estimate", of="chosen.finetuned"),
    Column("chosen in finetuned", of=lambda probe: probe.chosen.at[1]),
    Column("finetuned - base", "estimate", 3, "paired by question", "chosen.difference"),
    Column("beyond surface", "estimate", 3, "change in what the states add to surface features", _beyond(SURFACE)),
    Column("beyond confidence", "estimate", 3, "the same over the pass's output confidence", _beyond(CONFIDENCE)),
)
_SCORES_NOTE = (
    "Over the questions that both runs hold. Confidence is a probability here, 0 to 1. Calibration error: ten "
    "bins. Same answer: options are compared, not letters."
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
    "Two runs over the same questions, paired: every difference is finetuned minus base over the questions "
    "that both hold. Directions: as in introspection_directions, {folds} folds by groups of alike questions, the outer "
    "{share:.0%} of the questions by confidence, each run's own. Probes: the held-out predictions that "
    "introspection_probes left in both runs; nothing is fitted again.",
    "Intervals: {level:.0%}; of states, directions, likeness and probes over groups of alike questions; seed {seed}.",
)


def comparison_page(result: Comparison, options: Mapping[str, Any], demonstration: bool) -> blocks.Page:
    """The page. options: the task's; demonstration: the data are the embedded model's."""
    counts = ", ".join(f"{n} in {PASS_NAMES[kind]}" for kind, n in result.questions.items())
    return blocks.Page(
        title="Introspection: base against finetuned",
        question="What did finetuning change: the answers, the confidence in them, the states behind both?",
        done=f"Base: {result.runs.base.model}. Finetuned: {result.runs.finetuned.model}. Questions that both hold: "
        f"{counts}.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, over questions, which pair the runs. A "
        "change counts as one where the interval of the difference leaves out 0; this is not corrected for the number "
        "of comparisons, so one in twenty of those that changed nothing may look like one.",
        sections=[section for section in _sections(result) if section.blocks],
        methods=method_texts(_METHODS, options, result.interval_level),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: Comparison) -> list[str]:
    lines = []
    scores = {row.score: row.difference for row in result.scores if row.difference is not None}
    if scores:
        lines.append(f"Answers and confidence: {_listed(scores)}.")
    lines += [line for line in [_untouched(result)] if line]
    for kind, layers in result.directions.items():
        lines.append(f"Separation of high and low {PASS_NAMES[kind]}-confidence: {_changed(result.layers, layers)}.")
    if result.self_other is not None:
        lines.append(f"Likeness of self and other: {_changed(result.layers, result.self_other)}.")
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


def _changed(names: Sequence[str], layers: Sequence[Changed]) -> str:
    """At which layers a change is shown; not by how much, since the largest of many is no estimate."""
    shown = [name for name, layer in zip(names, layers, strict=True) if layer.difference.side_of(0)]
    if not shown:
        differences = [layer.difference for layer in layers]
        return f"no change shown at any of {len(layers)} layers{power_of_all(differences, 'a change')}"
    named = ", ".join(shown[:_NAMED]) + (", ..." if len(shown) > _NAMED else "")
    return f"changed at {len(shown)} of {len(layers)} layers ({named})"


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


def _sections(result: Comparison) -> list[blocks.Section]:
    scores: list[blocks.Block] = [
        blocks.Table.of("scores", "", _SCORES, ((score,) for score in result.scores)),
        blocks.Note(_SCORES_NOTE),
    ]
    states = [
        _by_layer(result, f"states_{kind}", f"States: {kind}", _STATES, layers)
        for kind, layers in result.states.items()
    ]
    directions = [
        _by_layer(result, f"directions_{kind}", f"Directions of confidence: {kind}", _DIRECTIONS, layers)
        for kind, layers in result.directions.items()
    ]
    note = blocks.Note(_DIRECTIONS_NOTE.format(share=result.share))
    likeness: list[blocks.Block] = []
    if result.self_other is not None:
        likeness = [_by_layer(result, "likeness", "", _LIKENESS, result.self_other), blocks.Note(_LIKENESS_NOTE)]
    return [
        blocks.Section("Answers and confidence", scores if result.scores else []),
        blocks.Section("Over layers", [_curves(result)]),
        blocks.Section("States", [*states, blocks.Note(_STATES_NOTE)]),
        blocks.Section("Directions of confidence", [*directions, note] if directions else []),
        blocks.Section("Likeness of self and other", likeness),
        blocks.Section("Probes", _probe_blocks(result)),
        *left_out(result.statements),
    ]


def _by_layer(
    result: Comparison, name: str, title: str, columns: Sequence[Column], layers: Sequence[Changed | StateChange]
) -> blocks.Table:
    return blocks.Table.of(name, title, columns, zip(result.layers, layers, strict=True))


def _curves(result: Comparison) -> blocks.Curves:
    """How far states moved; separation and likeness in both runs."""
    moved = [
        blocks.Series(f"{PASS_NAMES[kind]}, finetuned", result.layers, [layer.relative_change for layer in layers])
        for kind, layers in result.states.items()
    ]
    panels = [blocks.Panel("States moved by finetuning", moved, "length of change / length of state", bounds=(0, None))]
    if result.directions:
        series = [
            line
            for kind, layers in result.directions.items()
            for line in _both_runs(PASS_NAMES[kind], result.layers, layers)
        ]
        chance = [blocks.Level("chance", 0.5)]
        panels.append(
            blocks.Panel("Separation of confidence", series, "held-out AUROC, high versus low", chance, (0, 1.04))
        )
    if result.self_other is not None:
        series = _both_runs("self and other", result.layers, result.self_other)
        panels.append(
            blocks.Panel("Likeness of self and other", series, "mean cosine", [blocks.Level("no likeness", 0.0)])
        )
    caption = (
        "Length of the change that finetuning made, over the length of the state; held-out AUROC of the directions of "
        "confidence; likeness of self and other. Base: grey and dashed."
    )
    return blocks.Curves("over_layers", caption, "layer", panels)


def _both_runs(name: str, layers: Sequence[str], changes: Sequence[Changed]) -> list[blocks.Series]:
    return [
        blocks.Series(f"{name}, base", layers, [change.base for change in changes], "reference"),
        blocks.Series(f"{name}, finetuned", layers, [change.finetuned for change in changes]),
    ]


def _probe_blocks(result: Comparison) -> list[blocks.Block]:
    if not result.probes:
        return []
    matrix = pair_matrix("probe_changes", result.probes, _verdict, "finetuned - base")
    rule = "Test score at each run's chosen layer, finetuned minus base; higher or lower: its interval leaves out 0."
    table = blocks.Table.of(
        "probes", "In numbers", _PROBES, ((p.target, PASS_NAMES[p.states], p) for p in result.probes)
    )
    return [matrix, blocks.Note(rule), _probe_curves(result), table, blocks.Note(_PROBES_NOTE)]


def _verdict(probe: ProbeChange) -> blocks.Verdict:
    difference = probe.chosen.difference
    side = difference.side_of(0)
    if not side:
        return blocks.Verdict("no change shown", "open", difference)
    return blocks.Verdict("higher" if side > 0 else "lower", "for" if side > 0 else "against", difference)


def _probe_curves(result: Comparison) -> blocks.Curves:
    def series(probes: list[ProbeChange]) -> list[blocks.Series]:
        lines = []
        for probe in probes:
            base, tuned = _both_runs(f"states of {PASS_NAMES[probe.states]}", result.layers, probe.layers)
            lines += [replace(base, y=[layer.base.value for layer in probe.layers]), tuned]
        return lines

    panels = target_panels(result.probes, series, lambda probes: [blocks.Level("chance", probes[0].chance)])
    caption = (
        "Test scores of the probes by layer, one panel per target, one colour per pass whose states are read; base "
        "grey and dashed, without its intervals, which the table holds at the chosen layer."
    )
    return blocks.Curves("probes_by_layer", caption, "layer", panels)
