"""Tables, figures and pages of the sampling variance."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm

from lit_experiments.experiments.geometry.runs import problem_statement
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, text_table
from lit_experiments.statistics import Estimate
from stores import Store

_COLORS = (GREY, BLUE, ORANGE, GREEN, "#6b46c1", "#b83280")
_HEADERS = ["T", "layer", "Var", "Var / |z|^2", "dimension", "since the length before"]
_REACH = ["T", "length", "completions", "problems"]
_LEGEND = (
    "Latent z: mean of the residual stream over every {stride}th generated token up to a length. Var: trace of the "
    "covariance (ddof 1) of one problem's completions, mean over problems with bootstrap {level:.0%} intervals over "
    "them; also over the mean squared length of z. Dimension: participation ratio of the same covariance, at most the "
    "number of completions less one. Since the length before: mean Var over that at the length before, of the same "
    "completions; above 1 the spread still grows. Means over more tokens vary less by themselves: independent tokens "
    "would halve Var at twice the length. A dash: no value, as where nothing varies or too few got so far."
)
_REACH_LEGEND = (
    "Completions that reached each length, of all that were sampled, and problems with at least two of them, which "
    "have a variance. Longer lengths are those of longer solutions."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Geometry: how far sampling spreads the latents")
    statements = [*demonstration(store), *_statements(result)]
    for statement in statements:
        report.text(statement)
    files = [_draw_heat(out / "variance_heat.png", result), _draw_lines(out / "variance_lines.png", result)]
    report.heading("Over layers and lengths")
    report.figure(files[0], "Mean of Var / |z|^2 by layer and length, logarithmic colours, one scale for all panels.")
    report.figure(files[1], _LINES_CAPTION)
    report.heading("How many got so far")
    reach = _reach_rows(result)
    report.table(_REACH, reach)
    report.text(_REACH_LEGEND)
    rows = _rows(result)
    explained = _LEGEND.format(level=result["interval_level"], stride=result["stride"])
    report.heading("At the longest length that half of the problems reached")
    report.table(_HEADERS, rows)
    report.text(explained)
    page = report.write(out)
    lines = [
        *statements,
        "",
        text_table(_REACH, reach),
        "",
        text_table(_HEADERS, rows),
        "",
        textwrap.fill(explained, 100),
    ]
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {file}" for file in files)])


_LINES_CAPTION = (
    "Left: Var over depth at the longest length that half of the problems reached. Middle: the same, normalised. "
    "Right: Var over length, at the layer where it is largest."
)


def _statements(result: dict[str, Any]) -> list[str]:
    found = [problem_statement(result["problems"])]
    for t, temperature in enumerate(result["temperatures"]):
        top = result["peaks"][t]["variance"]
        length = result["checkpoints"][result["longest"][t]]
        if np.isnan(top.value):
            largest = max((e.value for e in result["variance"][t].flat if not np.isnan(e.value)), default=np.nan)
            told = (
                "no completions long enough"
                if np.isnan(largest)
                else "all completions of a problem are the same, so Var is exactly 0"
            )
            found.append(f"T = {temperature:g}: {told}.")
            continue
        normalised = result["peaks"][t]["normalised"]
        found.append(
            f"T = {temperature:g}: at {length} tokens Var is largest at {_place(result, top)}, over |z|^2 at "
            f"{_place(result, normalised)}. {_trend(result, t)}"
        )
    return found


def _place(result: dict[str, Any], top: Estimate) -> str:
    names = result["layers"]
    if not top.has_interval:
        return f"{names[int(top.value)]} (no interval: {top.no_interval})"
    low, high = int(np.floor(top.low)), int(np.ceil(top.high))
    return f"{names[int(top.value)]} (in resamples {names[low]} to {names[high]})"


def _trend(result: dict[str, Any], t: int) -> str:
    """What happens from length to length at the layer where Var is largest."""
    layer = int(result["peaks"][t]["variance"].value)
    lengths = result["checkpoints"]
    steps = zip(lengths[:-1], lengths[1:], result["trend"][t][layer], strict=True)
    trend = ", ".join(f"{shorter} to {longer} tokens {word}" for shorter, longer, word in steps)
    return f"There, over length: {trend}." if trend else ""


def _reach_rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [f"{temperature:g}", str(length), f"{got} of {result['sampled'][t]}", f"{problems} of {result['problems']}"]
        for t, temperature in enumerate(result["temperatures"])
        for length, got, problems in zip(
            result["checkpoints"], result["reached"][t], result["problems_with_variance"][t], strict=True
        )
    ]


def _rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for t, temperature in enumerate(result["temperatures"]):
        at = result["longest"][t]
        if np.isnan(result["peaks"][t]["variance"].value):
            continue  # nothing varies, as the statements say
        for layer, name in enumerate(result["layers"]):
            estimates = [result[measure][t, layer, at] for measure in ("variance", "normalised", "dimension", "growth")]
            digits = (_digits(estimates[0].value), 4, 2, 2)
            cells = [interval(e, d) for e, d in zip(estimates, digits, strict=True)]
            rows.append([f"{temperature:g}, {result['checkpoints'][at]} tokens", name, *cells])
    return rows


def _digits(value: float) -> int:
    """Digits behind the point that leave about three figures."""
    return 3 if np.isnan(value) or value <= 0 else int(np.clip(2 - np.floor(np.log10(value)), 0, 6))


def _values(estimates: Any) -> np.ndarray:
    return np.vectorize(lambda e: e.value, otypes=[float])(estimates)


def _draw_heat(path: Path, result: dict[str, Any]) -> Path:
    """Layers by lengths, one panel per temperature that has a spread."""
    values = _values(result["normalised"])
    shown = [t for t in range(len(values)) if np.nanmax(values[t], initial=0) > 0] or [0]
    positive = values[values > 0]
    scale = LogNorm(positive.min(), positive.max()) if positive.size else None
    with figure(path, columns=len(shown), height=0.9 + 0.32 * len(result["layers"]) + 0.9) as drawn:
        panels = [drawn.add_subplot(1, len(shown), i + 1) for i in range(len(shown))]
        for axes, t in zip(panels, shown, strict=True):
            picture = axes.imshow(values[t], aspect="auto", norm=scale, cmap="viridis", origin="lower")
            axes.set_xticks(range(len(result["checkpoints"])), result["checkpoints"])
            _layer_ticks(axes, result["layers"])
            axes.set(title=f"T = {result['temperatures'][t]:g}", xlabel="generated tokens", ylabel="layer")
            axes.grid(visible=False)
        drawn.colorbar(picture, ax=panels, label="Var / |z|²")
    return path


def _layer_ticks(axes: Any, names: list[str]) -> None:
    every = -(-len(names) // 16)
    axes.set_yticks(range(len(names))[::every], [name.rpartition(".")[2] for name in names][::every])


def _draw_lines(path: Path, result: dict[str, Any]) -> Path:
    with figure(path, columns=3, height=4.0) as drawn:
        for panel, (measure, label) in enumerate((("variance", "Var"), ("normalised", "Var / |z|²"))):
            axes = drawn.add_subplot(1, 3, panel + 1)
            at = layer_axis(axes, result["layers"])
            for t, color in zip(range(len(result["temperatures"])), _COLORS, strict=False):
                band(axes, at, list(result[measure][t, :, result["longest"][t]]), color, _name(result, t))
            axes.set(ylabel=label, title="Over depth" + (", normalised" if panel else ""))
            axes.set_ylim(bottom=0)
        axes = drawn.add_subplot(1, 3, 3)
        for t, color in zip(range(len(result["temperatures"])), _COLORS, strict=False):
            top = result["peaks"][t]["variance"].value
            layer = len(result["layers"]) - 1 if np.isnan(top) else int(top)
            label = f"{_name(result, t)}, {result['layers'][layer]}"
            band(axes, result["checkpoints"], list(result["variance"][t, layer]), color, label)
        axes.set(xlabel="generated tokens", ylabel="Var", title="Over length", xticks=result["checkpoints"])
        axes.set_ylim(bottom=0)
        for each in drawn.axes:
            legend(each)
    return path


def _name(result: dict[str, Any], t: int) -> str:
    return f"T = {result['temperatures'][t]:g}"
