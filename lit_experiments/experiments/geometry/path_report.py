"""Tables, figures and pages of the path sensitivity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.geometry.path_points import Point
from lit_experiments.experiments.geometry.runs import problem_statement
from lit_experiments.reports.figures import BLUE, GREY, ORANGE, band, figure, layer_axis, legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from lit_experiments.statistics import Estimate
from stores import Store

_POINTS = ["rank", "problem", "token", "taken", "with p", "instead", "with p", "D", "window", "merges", "answer"]
_ANSWERS = ((True, ORANGE, "answer changes"), (False, BLUE, "answer stays"), (None, GREY, "no answer to compare"))
_SUMMARY = ["", "value"]
_LEGEND = (
    "At every {interval}th generated token of a greedy solution the second most likely token is taken and decoding "
    "goes on greedily. D: distance between the means of {layer} over the branch's next {lookahead} tokens and over the "
    "solution's own, over the mean length of the two; windows that end early are halved until both texts fill them, "
    "and points whose texts are too short for the shortest window have no D. Window: its tokens / every how many of "
    "them one is counted. Merges: the token from which on the branch repeats a run of the solution. Intervals: "
    "{level:.0%}, bootstrap over problems."
)
_SOLUTION_CAPTION = (
    "D along single solutions: those with the farthest points. Above each branching token stands what was taken / what "
    "was forced instead. Orange: the final answer changes; blue: it stays; grey: there is none to compare."
)
_OVERVIEW_CAPTION = (
    "Left: D against how much likelier the first token was. Middle: D along the solutions. Right: D over depth, mean "
    "over points with interval."
)


def write_report(
    out: Path, result: dict[str, Any], points: Sequence[Point], store: Store, solutions: int, listed: int
) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Geometry: where a single other token leads away")
    statements = [*demonstration(store), *_statements(result)]
    for statement in statements:
        report.text(statement)
    ranked = sorted((p for p in points if p.rank is not None), key=lambda p: p.rank or 0)
    lines, files = [*statements], []
    if ranked:
        files.append(_draw_overview(out / "path_overview.png", result, ranked))
        report.figure(files[-1], _OVERVIEW_CAPTION)
        shown = list(dict.fromkeys(p.problem_id for p in ranked))[:solutions]
        if shown:
            files.append(_draw_solutions(out / "path_solutions.png", shown, points))
            report.heading("Along single solutions")
            report.figure(files[-1], _SOLUTION_CAPTION)
        rows = [_point_row(p) for p in ranked[:listed]]
        report.heading(f"The {len(rows)} farthest points")
        report.table(_POINTS, rows)
        lines += ["", text_table(_POINTS, rows)]
    explained = _LEGEND.format(
        level=result["interval_level"],
        layer=result["ranked_by"],
        interval=result["interval"],
        lookahead=result["lookahead"],
    )
    summary = _summary_rows(result)
    report.text(explained)
    report.heading("All points together")
    report.table(_SUMMARY, summary)
    page = report.write(out)
    lines += ["", text_table(_SUMMARY, summary), "", textwrap.fill(explained, 100)]
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {file}" for file in files)])


def _statements(result: dict[str, Any]) -> list[str]:
    windows = ", ".join(
        f"{w['points']} over {w['tokens']} tokens (stride {w['stride']})" for w in result["windows"] if w["tokens"]
    )
    without = result["points"] - result["points_with_distance"]
    lines = [
        problem_statement(result["problems"]),
        f"{result['points']} branching points on {result['problems']} greedy solutions, {result['solved']} of them "
        f"correct. Distances: {windows or 'none'}; {without} without (a text ended too soon).",
    ]
    passed = result["points_past_special_tokens"]
    if passed:
        lines.append(
            f"At {passed} of these points a likelier second choice was a special token (such as the end of the text), "
            f"which is passed over; collecting with --allow_special true takes it."
        )
    if np.isnan(result["answer_changed"].value):
        lines.append("No final answer can be compared, so nothing is said of changed answers.")
    return lines


def _summary_rows(result: dict[str, Any]) -> list[list[str]]:
    related = result["spearman_with_distance"]
    named: list[tuple[str, Estimate]] = [
        ("branches whose text is another one", result["other_text"]),
        ("branches that merge again within the window", result["merged"]),
        ("final answer changed", result["answer_changed"]),
        ("  where D is above its median", result["answer_changed_far"]),
        ("  where D is below", result["answer_changed_near"]),
        ("correct solutions spoiled", result["spoiled"]),
        ("wrong solutions mended", result["mended"]),
        ("Spearman of D and logit difference", related["logit_difference"]),
        ("Spearman of D and place in the solution", related["place_in_solution"]),
    ]
    return [[name, interval(estimate)] for name, estimate in named]


def _point_row(p: Point) -> list[str]:
    changed = {None: "-", True: f"{p.baseline_answer} -> {p.branch_answer}", False: "same"}[p.answer_changed]
    return [
        str(p.rank),
        p.problem_id,
        str(p.position),
        repr(p.first.text),
        f"{p.first.probability:.2g}",
        repr(p.second.text),
        f"{p.second.probability:.2g}",
        number(p.relative_distance),
        f"{p.window}/{p.stride}",
        "-" if p.merged_at is None else str(p.merged_at),
        changed,
    ]


def _draw_overview(path: Path, result: dict[str, Any], ranked: Sequence[Point]) -> Path:
    distance = [p.relative_distance for p in ranked]
    with figure(path, columns=3, height=4.0) as drawn:
        for panel, (values, label) in enumerate(
            (
                ([p.logit_difference for p in ranked], "logit difference, first minus second (nats)"),
                ([p.position / p.solution_tokens for p in ranked], "place in the solution"),
            )
        ):
            axes = drawn.add_subplot(1, 3, panel + 1)
            for changed, color, name in _ANSWERS:
                at = [i for i, p in enumerate(ranked) if p.answer_changed is changed]
                if at:
                    axes.scatter(
                        [values[i] for i in at], [distance[i] for i in at], s=14, color=color, alpha=0.7, label=name
                    )
            axes.set(xlabel=label, ylabel=f"D at {result['ranked_by']}")
            axes.set_ylim(bottom=0)
            legend(axes)
        axes = drawn.add_subplot(1, 3, 3)
        band(axes, layer_axis(axes, result["layers"]), result["by_layer"], BLUE, "mean of D")
        axes.set(ylabel="D", title="Over depth")
        axes.set_ylim(bottom=0)
    return path


def _draw_solutions(path: Path, problems: Sequence[str], points: Sequence[Point]) -> Path:
    """One panel per solution: D at each branching token, with the two tokens written above it."""
    with figure(path, columns=3, height=2.6 * len(problems)) as drawn:
        top = max(p.relative_distance for p in points if p.problem_id in problems and p.rank is not None)
        for number_, problem in enumerate(problems):
            axes = drawn.add_subplot(len(problems), 1, number_ + 1)
            own = [p for p in points if p.problem_id == problem]
            width = 0.6 * min(np.diff(sorted(p.position for p in own)), default=1)
            for p in own:
                color = next(color for changed, color, _ in _ANSWERS if changed is p.answer_changed)
                height = 0.0 if np.isnan(p.relative_distance) else p.relative_distance
                axes.bar(p.position, height, width=width, color=color, alpha=0.85)
                label = f"{shown(p.first.text)} / {shown(p.second.text)}"
                axes.annotate(
                    label,
                    (p.position, height),
                    textcoords="offset points",
                    xytext=(0, 3),
                    rotation=90,
                    ha="center",
                    va="bottom",
                    fontsize=7,
                )
            answer = own[0].baseline_answer
            told = {True: "correct", False: "wrong", None: "undecided"}[own[0].baseline_correct]
            axes.set(ylabel="D", title=f"{problem} (answer {answer or 'none'}, {told})", ylim=(0, 1.9 * top))
            axes.grid(visible=False)
            if number_ == len(problems) - 1:
                axes.set_xlabel("generated token")
    return path


def shown(text: str) -> str:
    """A token for a figure: spaces and what has no glyph visible, dollar signs no formula."""
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text.replace("\n", "↵"))
    return visible.replace(" ", "␣").replace("$", r"\$") or "∅"
