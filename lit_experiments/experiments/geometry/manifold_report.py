"""Tables, figures and pages of distances to oracle solutions."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from lit_experiments.experiments.geometry.answers import CORRECT
from lit_experiments.experiments.geometry.runs import problem_statement
from lit_experiments.experiments.geometry.solved import verdict_lines, verdict_sentence
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from lit_experiments.statistics import Estimate
from stores import Store

_COLORS = {"all": BLUE, "correct": GREEN, "incorrect": ORANGE}
_CURVES = {"free": GREY, "forced, all": BLUE, "forced, correct": GREEN, "forced, incorrect": ORANGE}
_KINDS = ["distance: right", "wrong", "other oracles", "relative: right", "wrong"]
_SHARES = ["begins with", "right", *_KINDS, "difference"]
_LAYERS = ["layer", *_KINDS, "own is nearest"]
_LEGEND = (
    "Distance: ||z - z*|| of a completion's latent to its problem's oracle, mean over a problem's completions, then "
    "over problems, with bootstrap {level:.0%} intervals over problems. Other oracles: to those of the other problems. "
    "Relative: the first over the second, problem by problem; 1 would be no nearer than to any other solution. "
    "Difference: right less wrong (relative), within problems that have both. Right and wrong answers are compared by "
    "math-verify; without an answer counts as wrong. Own is nearest: share of completions whose own oracle is nearer "
    "than every other one. A dash: no completion of that kind."
)
_DRIFT_LEGEND = (
    "Distance between a completion's mean over a window of {tokens} tokens and the oracle's over the same tokens, over "
    "the completions' mean distance to other oracles. Windows follow each other behind the end of the prefix; free "
    "completions are measured at the same places. Growth: least-squares slope per window. Windows that a completion or "
    "the oracle does not reach are left out, so later ones hold longer solutions."
)


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`; returns what the terminal shows."""
    report = Report("Geometry of sampling: distance to oracle solutions")
    lines = demonstration(store)
    table, sentence = verdict_lines(result["verdicts"])
    lines.append(problem_statement(max(share["problems"] for share in result["shares"])))
    for statement in [*lines, sentence]:
        report.text(statement)
    if not result["verdicts"][CORRECT]:
        lines += textwrap.wrap(sentence, 100)
    lines += ["", table]
    explained = _LEGEND.format(level=result["interval_level"])
    shown = result["layers"][result["shown"]]
    _section(
        report, lines, f"Distances at {shown}", _SHARES, [_share_row(e, result["shown"]) for e in result["shares"]]
    )
    report.text(explained)
    for each in result["shares"]:
        told = _told(each)
        report.text(told)
        lines += ["", *textwrap.wrap(told, 100)]
    first = result["shares"][0]
    rows = [_layer_row(first, at, name) for at, name in enumerate(result["layers"])]
    _section(report, lines, f"Over layers, {_name(first['share'])}", _LAYERS, rows)
    lines += ["", textwrap.fill(explained, 100)]
    if result["drift"]:
        _drift_tables(report, lines, result)
    _figures(report, out, result)
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}"])


def _section(report: Report, lines: list[str], title: str, headers: list[str], rows: list[list[str]]) -> None:
    report.heading(title)
    report.table(headers, rows)
    lines += ["", f"{title}:", text_table(headers, rows)]


def _name(share: float) -> str:
    return f"{share:.0%} of the oracle" if share else "nothing (free)"


def _told(each: dict[str, Any]) -> str:
    same, total = each["repeat_the_oracle"]
    told = f"Beginning with {_name(each['share'])}: {verdict_sentence(each['verdicts'])}"
    if each["share"]:
        told += f" The prefix has {number(each['forced_tokens'], 1)} tokens on average."
    told += f" {same} of {total} completions repeat the oracle token for token."
    short = each["without_latent"]
    return told + (f" {short} are shorter than the stride and have no latent." if short else "")


def _share_row(each: dict[str, Any], layer: int) -> list[str]:
    values = [each["own"]["correct"], each["own"]["incorrect"], each["other"]]
    values += [each["relative"]["correct"], each["relative"]["incorrect"], each["correct_less_incorrect"]]
    cells = [interval(value[layer], 2) for value in values]
    return [_name(each["share"]), str(each["verdicts"][CORRECT]), *cells]


def _layer_row(each: dict[str, Any], at: int, name: str) -> list[str]:
    values = [each["own"]["correct"], each["own"]["incorrect"], each["other"]]
    values += [each["relative"]["correct"], each["relative"]["incorrect"], each["nearest"]]
    return [name, *(interval(value[at], 2) for value in values)]


def _drift_tables(report: Report, lines: list[str], result: dict[str, Any]) -> None:
    layer = result["shown"]
    for drift in result["drift"]:
        headers = [f"behind {_name(drift['share'])}", *(f"window {i + 1}" for i in range(drift["windows"])), "growth"]
        rows = [
            [name, *(interval(window[layer], 2) for window in curve), interval(drift["growth"][name][layer], 3)]
            for name, curve in drift["curves"].items()
        ]
        _section(report, lines, f"Drift at {result['layers'][layer]}", headers, rows)
    told = _DRIFT_LEGEND.format(tokens=result["window_tokens"])
    report.text(told)
    lines += ["", textwrap.fill(told, 100)]


def _figures(report: Report, out: Path, result: dict[str, Any]) -> None:
    with figure(out / "distances.png", 2, 4.2) as drawn:
        _draw_layers(drawn.add_subplot(1, 2, 1), result)
        _draw_sweep(drawn.add_subplot(1, 2, 2), result)
    report.figure(
        out / "distances.png",
        "Left: free completions' distance to their own oracle over that to other problems' oracles (1: no nearer). "
        "Right: the same over the share of the oracle that completions begin with.",
    )
    if result["drift"]:
        with figure(out / "drift.png", len(result["drift"]), 4.2) as drawn:
            for at, drift in enumerate(result["drift"]):
                _draw_drift(drawn.add_subplot(1, len(result["drift"]), at + 1), drift, result["shown"])
        report.figure(out / "drift.png", "Relative distance to the oracle by window behind the end of the prefix.")


def _draw_layers(axes: Any, result: dict[str, Any]) -> None:
    first = result["shares"][0]
    at = layer_axis(axes, result["layers"])
    for name in ("correct", "incorrect"):
        _band(axes, at, first["relative"][name], _COLORS[name], name)
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set(ylabel="relative distance to the oracle", title=f"Over depth, beginning with {_name(first['share'])}")
    axes.set_ylim(bottom=0)
    legend(axes)


def _draw_sweep(axes: Any, result: dict[str, Any]) -> None:
    shares = sorted(result["shares"], key=lambda each: each["share"])
    at = list(range(len(shares)))
    for name, color in _COLORS.items():
        _band(axes, at, [each["relative"][name][result["shown"]] for each in shares], color, name)
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_xticks(at, [f"{each['share']:.0%}" for each in shares])
    axes.set(xlabel="share of the oracle forced", ylabel="relative distance to the oracle")
    axes.set_title(f"At {result['layers'][result['shown']]}")
    axes.set_ylim(bottom=0)
    legend(axes)


def _draw_drift(axes: Any, drift: dict[str, Any], layer: int) -> None:
    at = list(range(drift["windows"]))
    for name, curve in drift["curves"].items():
        _band(axes, at, [window[layer] for window in curve], _CURVES[name], name)
    axes.set_xticks(at, [str(i + 1) for i in at])
    axes.set(xlabel="window behind the prefix", ylabel="relative distance to the oracle")
    axes.set_title(f"Behind {_name(drift['share'])}")
    axes.set_ylim(bottom=0)
    legend(axes)


def _band(axes: Any, at: list[int], values: list[Estimate], color: str, label: str) -> None:
    """A band, unless there is nothing to draw: an empty entry in the legend would promise a line."""
    if any(value.n for value in values):
        band(axes, at, values, color, label)
