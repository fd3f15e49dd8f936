"""Tables, figure and pages of the comparison of base and finetuned."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from lit_experiments.experiments.introspection.curves import COLORS, draw_panels
from lit_experiments.experiments.introspection.probe_data import CONFIDENCE, SURFACE
from lit_experiments.experiments.introspection.scoring import NAMES as SCORE_NAMES
from lit_experiments.reports.figures import GREEN, GREY, band, figure, layer_axis, legend, unit_range
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_NAMES = {"mcq": "mcq", "self_confidence": "self", "other_confidence": "other"}
_SCORES = ["", "base", "finetuned", "finetuned - base"]
_STATES = ["layer", "cosine", "CKA", "length of change / length", "largest difference"]
_CHANGE = ["layer", "base", "finetuned", "finetuned - base"]
_SCORES_LEGEND = (
    "Over the questions that both runs hold; intervals: {level:.0%}, bootstrap over questions, paired. "
    "Confidence is a probability here, 0 to 1. ECE with ten bins."
)
_STATES_LEGEND = (
    "Answer-position states of the same question in both runs: mean cosine; linear CKA of the two sets; mean length of "
    "the change over mean length of the state; the largest difference of any one number, which is exactly 0 where "
    "nothing changed."
)
_DIRECTIONS_LEGEND = (
    "Held-out AUROC of the direction from low to high confidence, each run with its own high and low questions (the "
    "outer {share:.0%}), and the paired difference; last, the cosine between the two runs' directions, sampling noise "
    "removed. A dash: no value, as where a layer's states do not differ or no direction rises above the noise."
)
_PROBES = [
    "target",
    "states of",
    "score",
    "base",
    "finetuned",
    "finetuned - base",
    "beyond surface",
    "beyond confidence",
]
_PROBES_LEGEND = (
    "Test scores of the layerwise probes, each run at the layer that cross-validation chose there, and the paired "
    "difference; each run's probe predicts its own model's values. Beyond surface, beyond confidence: change in what "
    "the states add to surface features, or to the pass's own output confidence, alone."
)
_LIKENESS_LEGEND = (
    "Cosine of the self- and the other-confidence state of a question, each less its pass's mean, averaged over "
    "questions: how much of what tells questions apart the two passes share."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figure, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Introspection: base against finetuned")
    lines = [*demonstration(store), _models(result), *result["statements"]]
    for line in lines:
        report.text(line)
    for title, headers, rows, explained in _sections(result):
        report.heading(title)
        report.table(headers, rows)
        lines += ["", title, text_table(headers, rows)]
        if explained:
            report.text(explained)
            lines += ["", textwrap.fill(explained, 100)]
    figures = {_draw(out / "comparison.png", result): _CAPTION}
    if result["probes"]:
        figures[_draw_probes(out / "probes.png", result)] = _PROBES_CAPTION
    for drawn, caption in figures.items():
        report.figure(drawn, caption)
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {drawn}" for drawn in figures)])


_CAPTION = (
    "Left: length of the change that finetuning made, over the length of the state. Middle: held-out AUROC of the "
    "directions of confidence, base (dashed) and finetuned. Right: likeness of self and other in both."
)


_PROBES_CAPTION = (
    "Test scores of the probes by layer, one panel per target, one colour per pass whose states are read; base dashed, "
    "finetuned solid."
)


def _models(result: dict[str, Any]) -> str:
    base, tuned = (result["runs"][name] for name in ("base", "finetuned"))
    counts = ", ".join(f"{n} in {kind}" for kind, n in result["questions"].items())
    untouched = _untouched(result)
    same = f" {untouched}" if untouched else ""
    return f"Base: {base['model']}. Finetuned: {tuned['model']}. Questions that both hold: {counts}.{same}"


def _untouched(result: dict[str, Any]) -> str:
    """A sentence on the first layers whose states are bit for bit the same in every pass; empty if there are none."""
    count = 0
    for layers in zip(*result["states"].values(), strict=True):
        if any(layer["largest_difference"] for layer in layers):
            break
        count += 1
    if not count:
        return ""
    if count == len(result["layers"]):
        return "No state of any layer differs."
    return (
        f"Up to {result['layers'][count - 1]} the states are the same bit for bit; {result['layers'][count]} differs."
    )


def _sections(result: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]], str]]:
    """(title, headers, rows, what they mean); of several tables alike, the last one is explained."""
    sections = []
    level, names = result["interval_level"], result["layers"]
    if result["scores"]:
        rows = [_score_row(row) for row in result["scores"]]
        sections.append(("Answers and confidence", _SCORES, rows, _SCORES_LEGEND.format(level=level)))
    for kind, layers in result["states"].items():
        rows = [_state_row(name, layer) for name, layer in zip(names, layers, strict=True)]
        last = kind == [*result["states"]][-1]
        sections.append((f"States: {kind}", _STATES, rows, _STATES_LEGEND if last else ""))
    for kind, layers in result["directions"].items():
        rows = [[*_change(name, each), interval(each["cosine"])] for name, each in zip(names, layers, strict=True)]
        explained = _DIRECTIONS_LEGEND.format(share=result["share"]) if kind == [*result["directions"]][-1] else ""
        sections.append((f"Directions of confidence: {kind}", [*_CHANGE, "cosine"], rows, explained))
    if "self_other" in result:
        rows = [_change(name, each) for name, each in zip(names, result["self_other"], strict=True)]
        sections.append(("Likeness of self and other", _CHANGE, rows, _LIKENESS_LEGEND))
    if result["probes"]:
        sections.append(("Probes", _PROBES, [_probe_row(each) for each in result["probes"]], _PROBES_LEGEND))
    return sections


def _score_row(row: dict[str, Any]) -> list[str]:
    if "both" in row:
        return [row["score"], "", "", interval(row["both"])]
    return [row["score"], *(interval(row[name]) for name in ("base", "finetuned", "difference"))]


def _state_row(name: str, layer: dict[str, Any]) -> list[str]:
    largest = layer["largest_difference"]
    return [
        name,
        interval(layer["cosine"], 4),
        number(layer["cka"], 4),
        interval(layer["relative_change"], 4),
        "0" if largest == 0 else f"{largest:.3g}",
    ]


def _change(name: str, each: dict[str, Any]) -> list[str]:
    return [name, *(interval(each[key]) for key in ("base", "finetuned", "difference"))]


def _probe_row(each: dict[str, Any]) -> list[str]:
    chosen, gains = each["chosen"], each["gains"]
    scores = [f"{interval(chosen[name])} ({at})" for name, at in zip(("base", "finetuned"), chosen["at"], strict=True)]
    beyond = [interval(gains[name]["difference"]) if name in gains else "-" for name in (SURFACE, CONFIDENCE)]
    about = [each["target"], _NAMES[each["states"]], SCORE_NAMES[each["score"]]]
    return [*about, *scores, interval(chosen["difference"]), *beyond]


def _draw_probes(path: Path, result: dict[str, Any]) -> Path:
    def panel(axes: Any, at: list[int], pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            color, name = COLORS[pair["states"]], _NAMES[pair["states"]]
            for run, style in (("base", "o--"), ("finetuned", "o-")):
                values = [layer[run].value for layer in pair["layers"]]
                axes.plot(at, values, style, color=color, markersize=3, label=f"states of {name}, {run}")

    return draw_panels(path, result["probes"], result["layers"], panel)


def _draw(path: Path, result: dict[str, Any]) -> Path:
    panels = [_draw_states, *([_draw_directions] if result["directions"] else [])]
    panels += [_draw_likeness] if "self_other" in result else []
    with figure(path, columns=len(panels), height=4.0) as drawn:
        for number_, panel in enumerate(panels, start=1):
            axes = drawn.add_subplot(1, len(panels), number_)
            panel(axes, layer_axis(axes, result["layers"]), result)
            legend(axes)
    return path


def _draw_states(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    for kind, layers in result["states"].items():
        band(axes, at, [layer["relative_change"] for layer in layers], COLORS[kind], _NAMES[kind])
    axes.set(ylabel="length of change / length of state", title="States moved by finetuning")
    axes.set_ylim(bottom=0)


def _draw_directions(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    for kind, layers in result["directions"].items():
        band(axes, at, [layer["base"] for layer in layers], COLORS[kind], f"{_NAMES[kind]}, base", "o--")
        band(axes, at, [layer["finetuned"] for layer in layers], COLORS[kind], f"{_NAMES[kind]}, finetuned")
    axes.axhline(0.5, color="black", linewidth=0.6)
    axes.set(ylabel="held-out AUROC, high against low", title="Separation of confidence", ylim=(0, 1.04))


def _draw_likeness(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    band(axes, at, [layer["base"] for layer in result["self_other"]], GREY, "base", "o--")
    band(axes, at, [layer["finetuned"] for layer in result["self_other"]], GREEN, "finetuned")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(ylabel="mean cosine, self and other", title="Likeness of self and other", ylim=unit_range(axes))
