"""Tables, figures and pages of the interventions on the model."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.patching_statistics import PRIMARY
from lit_experiments.experiments.introspection.patching_words import (
    DIGITS,
    NAMES,
    SIGNIFICANT,
    UNITS,
    checked,
    is_clear,
    outcome,
)
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_DRAWN = {"mcq": ("entropy", "accuracy")}
_TITLES = {"steer": "Steering, change per spread", "ablate": "Ablation, change", "patch": "Patching, change"}
_VALUE = {"steer": "slope", "ablate": "change", "patch": "change"}
_LEGEND = (
    "All at the answer position of one layer, as the change against the same question left alone; intervals: "
    "{level:.0%}, bootstrap over {questions} questions (patching: {pairs} pairs). Steering: along the direction from "
    "low to high confidence (mcq: that of self-confidence) by {multiples} spreads, a spread being the standard "
    "deviation of all questions' projections; the slope of least squares through no change, per spread. Random: "
    "{level:.0%} range of {randoms} random directions, moved by the same lengths; p by the direction's rank among "
    "them, two-sided. Ablation: the part along the direction taken out. Patching: the answer state of a question of "
    "high confidence put into one of low; control: that of another question of low confidence; p of their difference "
    "by {flips:,} sign flips; share: of the gap between recipient and donor that the patch closes, a dash where there "
    "is no clear gap; all of it at the last block, where the state decides the answer alone. p-values are corrected "
    "over the layers of a pass (Holm). *: p below {significant} and an interval without 0. Accuracy: share of "
    "questions whose most probable letter is the (recipient's) key; key: its probability among the letters; outside: "
    "probability of all that is no letter. Directions come from all questions, these included."
)
_CAPTION = (
    "{kind}: change by layer. Left: steering, a line per multiple of the spread; grey: range of random directions at "
    "the largest. Middle: ablation; grey: random directions. Right: patching from high and (control) from low "
    "confidence; dashed: the gap between recipients and donors."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Introspection: interventions on the model")
    said = [*demonstration(store), *result["statements"], *outcome(result)]
    for line in said:
        report.text(line)
    lines, drawn = [textwrap.fill(line, 120) for line in said], []
    for kind, about in result["passes"].items():
        title = f"{kind}: {about['questions']} questions, {about['pairs']} pairs"
        report.heading(title)
        drawn.append(_draw(out / f"patching_{kind}.png", kind, result))
        report.figure(drawn[-1], _CAPTION.format(kind=kind))
        lines += ["", title]
        for what in ("steer", "ablate", "patch"):
            headers, rows = _table(what, kind, result["layers"], about["layers"])
            report.text(_TITLES[what])
            report.table(headers, rows)
            lines += ["", _TITLES[what], text_table(headers, rows)]
    notes = [*([_explained(result)] if drawn else []), *checked(result)]
    if notes:
        report.heading("How to read this, and what was checked")
    for note in notes:
        report.text(note)
        lines += ["", textwrap.fill(note, 120)]
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {file}" for file in drawn)])


def _explained(result: dict[str, Any]) -> str:
    some = next(iter(result["passes"].values()))
    return _LEGEND.format(
        level=result["interval_level"],
        questions=some["questions"],
        pairs=some["pairs"],
        multiples=", ".join(f"{m:+g}" for m in result["multiples"]),
        randoms=result["random_directions"],
        flips=result["flips"],
        significant=SIGNIFICANT,
    )


def _table(what: str, kind: str, names: list[str], layers: list[Any]) -> tuple[list[str], list[list[str]]]:
    """One row per layer: the pass's own measure in full, the others with a star for a clear effect."""
    own = PRIMARY[kind]
    some = next(layer for layer in layers if layer is not None)
    others = [measure for measure in some[what] if measure != own]
    beside = ["control", "share of the gap"] if what == "patch" else ["random"]
    headers = ["layer", *(["spread"] if what == "steer" else []), f"{own}, {UNITS[own]}", *beside, "p (Holm)"]
    headers += [f"{measure}, {UNITS[measure]}" for measure in others]
    rows = []
    for name, layer in zip(names, layers, strict=True):
        dashes = ["-"] * (len(headers) - 1)
        rows.append([name, *(dashes if layer is None else _cells(what, layer, own, others))])
    return headers, rows


def _cells(what: str, layer: dict[str, Any], measure: str, others: list[str]) -> list[str]:
    own, digits = layer[what][measure], DIGITS[UNITS[measure]]
    cells = [number(layer["spread"])] if what == "steer" else []
    cells.append(_starred(what, own, digits))
    if what == "patch":
        cells += [interval(own["control"], digits), interval(own["share"], 2)]
    else:
        cells.append(f"{number(own['random']['low'], digits)} to {number(own['random']['high'], digits)}")
    return [
        *cells,
        number(own["p_holm"]),
        *(_starred(what, layer[what][other], DIGITS[UNITS[other]]) for other in others),
    ]


def _starred(what: str, scores: dict[str, Any], digits: int) -> str:
    return interval(scores[_VALUE[what]], digits) + (" *" if is_clear(what, scores) else "  ")


def _draw(path: Path, kind: str, result: dict[str, Any]) -> Path:
    measures = _DRAWN.get(kind, ("confidence", "entropy"))
    held = [
        (name, layer)
        for name, layer in zip(result["layers"], result["passes"][kind]["layers"], strict=True)
        if layer is not None
    ]
    names, layers = [name for name, _ in held], [layer for _, layer in held]
    with figure(path, columns=3, height=3.9 * len(measures)) as drawn:
        for row, measure in enumerate(measures):
            for column, panel in enumerate((_draw_steering, _draw_ablation, _draw_patching)):
                axes = drawn.add_subplot(len(measures), 3, 3 * row + column + 1)
                panel(axes, layer_axis(axes, names), layers, measure, result)
                axes.axhline(0, color="black", linewidth=0.6)
                axes.set_ylabel(f"change of {NAMES[measure]} ({UNITS[measure]})")
                legend(axes)
    return path


def _draw_steering(axes: Any, at: list[int], layers: list[Any], measure: str, result: dict[str, Any]) -> None:
    import matplotlib as mpl

    multiples = result["multiples"]
    widest = max(map(abs, multiples))
    for k, multiple in enumerate(multiples):
        color = mpl.colormaps["coolwarm"](0.5 + 0.5 * multiple / widest)
        values = [layer["steer"][measure]["changes"][k] for layer in layers]
        band(axes, at, values, mpl.colors.to_hex(color), f"{multiple:+g}")
    edge = [k for k, multiple in enumerate(multiples) if abs(multiple) == widest]
    each = [[layer["steer"][measure]["random_changes"][k] for k in edge] for layer in layers]
    _random(axes, at, [min(r["low"] for r in one) for one in each], [max(r["high"] for r in one) for one in each])
    axes.set_title("Steering, in spreads")


def _draw_ablation(axes: Any, at: list[int], layers: list[Any], measure: str, result: dict[str, Any]) -> None:
    found = [layer["ablate"][measure] for layer in layers]
    band(axes, at, [each["change"] for each in found], GREEN, "direction taken out")
    _random(axes, at, [each["random"]["low"] for each in found], [each["random"]["high"] for each in found])
    axes.set_title("Ablation")


def _draw_patching(axes: Any, at: list[int], layers: list[Any], measure: str, result: dict[str, Any]) -> None:
    found = [layer["patch"][measure] for layer in layers]
    band(axes, at, [each["change"] for each in found], BLUE, "from high")
    band(axes, at, [each["control"] for each in found], ORANGE, "from low (control)")
    if np.isfinite(found[0]["gap"].value):
        axes.plot(at, [each["gap"].value for each in found], "--", color=GREY, label="gap to the donor")
    axes.set_title("Patching the answer state")


def _random(axes: Any, at: list[int], low: list[float], high: list[float]) -> None:
    axes.vlines(at, np.asarray(low), np.asarray(high), color=GREY, alpha=0.5, linewidth=5, label="random directions")
