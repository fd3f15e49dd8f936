"""Tables, figures and pages of the comparison of self and other."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.analysis import CONFIDENCE_PASSES
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, legend, unit_range
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_NAMES = {"self_confidence": "self", "other_confidence": "other", "mcq": "mcq"}
_COLORS = (BLUE, ORANGE, GREEN)
_ALIKE = [
    "layer",
    "cosine",
    "(unrelated)",
    "centered",
    "(unrelated)",
    "CKA",
    "(unrelated)",
    "angles",
    "halves",
    "within",
]
_TRANSFER = ["layer", "trained on", "evaluated on", "R2", "Spearman", "p (Holm)", "gap in R2", "gap in Spearman"]
_ALIKE_LEGEND = (
    "Answer-position states of the same questions in two passes. Cosine: mean over questions, of the states and after "
    "taking each pass's mean state away; intervals: {level:.0%}, bootstrap over questions. (Unrelated): the same for "
    "pairs of different questions, which is what a number has to be compared with. Angles: mean of the {rank} "
    "principal angles in degrees between the leading {rank}-dimensional subspaces; halves: the first pass on one half "
    "of the questions against the second pass on the other half; within: against the first pass itself on that other "
    "half, the angle that sampling alone makes. A dash: no value, as where the states of a layer do not differ."
)
_CAPTION = (
    "Likeness of the passes' states. Dotted controls: pairs of different questions (left, middle); one pass against "
    "itself on the two halves (right)."
)
_TRANSFER_LEGEND = (
    "A ridge of expected confidence trained on one pass and evaluated on states and confidence of the other, beside "
    "one trained on that pass itself; on {test} questions seen in neither pass ({train} to train on), intervals: "
    "{level:.0%}, bootstrap over these. R2 asks for the right level too and falls below 0 when the passes' states are "
    "shifted; Spearman asks for the order alone. p: Spearman above 0, by permuting questions, corrected over layers "
    "(Holm) for each pair. Gap: transferred minus within, on the same questions. Spearman between the two confidences "
    "themselves on these questions: {between}."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Introspection: self against other")
    lines = demonstration(store)
    lines += result["statements"]
    for statement in lines:
        report.text(statement)
    files = []
    if result["pairs"]:
        files.append(_draw_alike(out / "similarity.png", result))
        lines += _alike(report, result, files[-1])
    if "transfer" in result:
        files.append(_draw_transfer(out / "transfer.png", result))
        lines += _transferred(report, result, files[-1])
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {file}" for file in files)])


def _alike(report: Report, result: dict[str, Any], drawn: Path) -> list[str]:
    lines = []
    for pair in result["pairs"]:
        title = f"{' and '.join(pair['passes'])}: {pair['questions']} questions"
        rows = [_alike_row(name, layer) for name, layer in zip(result["layers"], pair["layers"], strict=True)]
        report.heading(title)
        report.table(_ALIKE, rows)
        lines += ["", title, text_table(_ALIKE, rows)]
    explained = _ALIKE_LEGEND.format(level=result["interval_level"], rank=result["rank"])
    report.text(explained)
    report.figure(drawn, _CAPTION)
    return [*lines, "", textwrap.fill(explained, 100)]


def _alike_row(name: str, layer: dict[str, Any]) -> list[str]:
    return [
        name,
        interval(layer["cosine"]),
        number(layer["cosine_shuffled"]),
        interval(layer["cosine_centered"]),
        number(layer["cosine_centered_shuffled"]),
        number(layer["cka"]),
        number(layer["cka_shuffled"]),
        number(float(np.mean(layer["angles"])), 1),
        number(layer["angle_halves"], 1),
        number(layer["angle_within"], 1),
    ]


def _transferred(report: Report, result: dict[str, Any], drawn: Path) -> list[str]:
    found = result["transfer"]
    rows = [
        _transfer_row(name, scores)
        for name, layer in zip(result["layers"], found["layers"], strict=True)
        for scores in layer
    ]
    explained = _TRANSFER_LEGEND.format(
        level=result["interval_level"], between=interval(found["confidences_spearman"]), **found["questions"]
    )
    report.heading("Transfer of a probe of confidence")
    report.table(_TRANSFER, rows)
    report.text(explained)
    report.figure(drawn, "Spearman on unseen questions of ridges trained on the same and on the other pass.")
    return ["", text_table(_TRANSFER, rows), "", textwrap.fill(explained, 100)]


def _transfer_row(name: str, scores: dict[str, Any]) -> list[str]:
    return [
        name,
        _NAMES[scores["trained"]],
        _NAMES[scores["evaluated"]],
        interval(scores["r2"]),
        interval(scores["spearman"]),
        number(scores["p_holm"], 4),
        *(interval(scores[gap]) if gap in scores else "" for gap in ("gap_r2", "gap_spearman")),
    ]


def _draw_alike(path: Path, result: dict[str, Any]) -> Path:
    with figure(path, columns=3, height=4.0) as drawn:
        for at, panel in enumerate((_draw_cosine, _draw_cka, _draw_angles)):
            axes = drawn.add_subplot(1, 3, at + 1)
            places = layer_axis(axes, result["layers"])
            for pair, color in zip(result["pairs"], _COLORS, strict=False):
                label = " / ".join(_NAMES[kind] for kind in pair["passes"])
                panel(axes, places, pair["layers"], color, label)
        axes.plot([], [], ":", color=GREY, label="control")
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return path


def _draw_cosine(axes: Any, at: list[int], layers: list[dict[str, Any]], color: str, label: str) -> None:
    band(axes, at, [layer["cosine_centered"] for layer in layers], color, label)
    axes.plot(at, [layer["cosine_centered_shuffled"] for layer in layers], ":", color=color)
    axes.set(ylabel="mean cosine", title="States less their pass's mean", ylim=(-0.1, 1.05))


def _draw_cka(axes: Any, at: list[int], layers: list[dict[str, Any]], color: str, label: str) -> None:
    axes.plot(at, [layer["cka"] for layer in layers], "o-", color=color, label=label, markersize=4)
    axes.plot(at, [layer["cka_shuffled"] for layer in layers], ":", color=color)
    axes.set(ylabel="linear CKA", title="Geometry of the questions", ylim=(-0.05, 1.05))


def _draw_angles(axes: Any, at: list[int], layers: list[dict[str, Any]], color: str, label: str) -> None:
    axes.plot(at, [layer["angle_halves"] for layer in layers], "o-", color=color, label=label, markersize=4)
    axes.plot(at, [layer["angle_within"] for layer in layers], ":", color=color)
    axes.set(ylabel="mean principal angle (degrees)", title="Leading subspaces, on two halves", ylim=(0, 92))


def _draw_transfer(path: Path, result: dict[str, Any]) -> Path:
    layers = result["transfer"]["layers"]
    with figure(path, columns=2, height=4.0) as drawn:
        for panel, evaluated in enumerate(CONFIDENCE_PASSES):
            axes = drawn.add_subplot(1, 2, panel + 1)
            at = layer_axis(axes, result["layers"])
            for trained, color in zip(CONFIDENCE_PASSES, _COLORS, strict=False):
                values = [_of(layer, trained, evaluated)["spearman"] for layer in layers]
                band(axes, at, values, color, f"trained on {_NAMES[trained]}")
            axes.axhline(0, color="black", linewidth=0.6)
            axes.set(
                title=f"Evaluated on {_NAMES[evaluated]}", ylabel="Spearman on unseen questions", ylim=unit_range(axes)
            )
            legend(axes)
    return path


def _of(layer: list[dict[str, Any]], trained: str, evaluated: str) -> dict[str, Any]:
    (found,) = [s for s in layer if (s["trained"], s["evaluated"]) == (trained, evaluated)]
    return found
