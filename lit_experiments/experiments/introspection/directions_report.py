"""Table, figure and pages of the directions of confidence."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, legend, unit_range
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_COLORS = {"self_confidence": BLUE, "other_confidence": ORANGE}
_NAMES = {"self_confidence": "self", "other_confidence": "other"}
_HEADERS = ["layer", "AUROC", "shuffled", "p (Holm)", "Cohen's d", "ridge AUROC", "cosine to ridge", "signal", "spread"]
_BETWEEN = ["layer", "cosine, noise removed", "cosine as estimated"]
_LEGEND = (
    "AUROC and Cohen's d of projections on the direction of the other folds, pairs compared within a fold, with "
    "bootstrap {level:.0%} intervals over questions. Shuffled: mean and {level:.0%} range of the AUROC after permuting "
    "labels between questions ({shuffles} times); p from the same, corrected over the layers of a pass (Holm). Ridge: "
    "confidence from the states of the same training rows; its held-out AUROC, and the mean over folds of the cosine "
    "of its weights to the direction (below 1 also where both point at one thing, as a ridge discounts noisy dims). "
    "Signal: share of the direction's squared length that is not sampling noise; about 0, above or below, where there "
    "is nothing else. Spread: standard deviation of all questions' projections, the unit for steering. A dash: no "
    "value, as where the states of a layer do not differ."
)
_BETWEEN_LEGEND = (
    "Cosine of the self- and the other-confidence direction. Noise removed: products of a question with itself are "
    "left out, so neither sampling noise nor what one question brings into both passes counts; interval over "
    "questions; a dash where no direction rises above the noise; may slightly exceed 1."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figure, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Introspection: directions of confidence")
    lines = demonstration(store)
    for statement in [*lines, *result["statements"]]:
        report.text(statement)
    lines += result["statements"]
    drawn = _draw(out / "directions.png", result) if result["passes"] else None
    explained = _LEGEND.format(level=result["interval_level"], shuffles=result["shuffles"])
    for kind, about in result["passes"].items():
        rows = [_row(name, layer) for name, layer in zip(result["layers"], about["layers"], strict=True)]
        report.heading(kind)
        report.text(_setting(about, result))
        report.table(_HEADERS, rows)
        lines += ["", f"{kind}: {_setting(about, result)}", text_table(_HEADERS, rows)]
    if drawn is not None:
        report.text(explained)
        lines += ["", textwrap.fill(explained, 100)]
    if result.get("self_other"):
        rows = _between_rows(result)
        report.heading("Self against other")
        report.table(_BETWEEN, rows)
        report.text(_BETWEEN_LEGEND)
        lines += ["", text_table(_BETWEEN, rows), "", textwrap.fill(_BETWEEN_LEGEND, 100)]
    if drawn is not None:
        report.figure(drawn, _CAPTION)
    page = report.write(out)
    lines += ["", f"Report:  {page}"]
    return "\n".join(lines + ([f"Figure:  {drawn}"] if drawn is not None else []))


_CAPTION = (
    "Left: held-out AUROC of the direction of each pass, with intervals, beside shuffled labels. Middle: cosine of the "
    "self and the other direction. Right: cosine of each direction to a ridge's weights; band: range over folds."
)


def _setting(about: dict[str, Any], result: dict[str, Any]) -> str:
    lower, upper = about["thresholds"]
    return (
        f"{about['questions']} questions; {about['low']} of low confidence (at most {lower:.1f} %), {about['high']} of "
        f"high (at least {upper:.1f} %); {result['folds']} folds."
    )


def _row(name: str, layer: dict[str, Any]) -> list[str]:
    control = layer["shuffled"]
    return [
        name,
        interval(layer["auroc"]),
        "-" if np.isnan(control["mean"]) else f"{control['mean']:.3f} ({control['low']:.2f} to {control['high']:.2f})",
        number(layer["p_holm"]),
        interval(layer["cohens_d"], 2),
        interval(layer["ridge"]["auroc"]),
        number(layer["ridge"]["cosine"]),
        number(layer["signal_share"], 2),
        number(layer["spread"]),
    ]


def _between_rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [name, interval(layer["cosine"]), number(layer["plain_cosine"])]
        for name, layer in zip(result["layers"], result["self_other"], strict=True)
    ]


def _draw(path: Path, result: dict[str, Any]) -> Path:
    panels = [_draw_auroc, *([_draw_between] if result.get("self_other") else []), _draw_ridge]
    with figure(path, columns=len(panels), height=4.0) as drawn:
        for at, panel in enumerate(panels):
            axes = drawn.add_subplot(1, len(panels), at + 1)
            panel(axes, layer_axis(axes, result["layers"]), result)
            legend(axes)
    return path


def _draw_auroc(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    for kind, about in result["passes"].items():
        band(axes, at, [layer["auroc"] for layer in about["layers"]], _COLORS[kind], _NAMES[kind])
    controls = [[layer["shuffled"] for layer in about["layers"]] for about in result["passes"].values()]
    low = np.min([[c["low"] for c in each] for each in controls], axis=0)
    high = np.max([[c["high"] for c in each] for each in controls], axis=0)
    axes.vlines(at, low, high, color=GREY, alpha=0.5, linewidth=4, label="shuffled labels")
    axes.axhline(0.5, color="black", linewidth=0.6)
    axes.set(ylabel="held-out AUROC, high against low", title="Separation", ylim=(0, 1.04))


def _draw_between(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    band(axes, at, [layer["cosine"] for layer in result["self_other"]], GREEN, "noise removed")
    axes.plot(at, [layer["plain_cosine"] for layer in result["self_other"]], "--", color=GREY, label="as estimated")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(ylabel="cosine", title="Self against other direction", ylim=unit_range(axes))


def _draw_ridge(axes: Any, at: list[int], result: dict[str, Any]) -> None:
    for kind, about in result["passes"].items():
        ridge = [layer["ridge"] for layer in about["layers"]]
        axes.plot(at, [r["cosine"] for r in ridge], "o-", color=_COLORS[kind], label=_NAMES[kind], markersize=4)
        low, high = ([r[f"cosine_{end}"] for r in ridge] for end in ("lowest", "highest"))
        axes.fill_between(at, low, high, color=_COLORS[kind], alpha=0.18, linewidth=0)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(ylabel="cosine", title="Direction against ridge weights", ylim=unit_range(axes))
