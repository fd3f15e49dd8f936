"""Tables, figures and pages of clustering."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.geometry.answers import CORRECT
from lit_experiments.experiments.geometry.distinctness import BETWEEN, WITHIN
from lit_experiments.experiments.geometry.judge import JUDGEMENTS
from lit_experiments.experiments.geometry.judging import JudgeSettings
from lit_experiments.experiments.geometry.partition import Solved
from lit_experiments.experiments.geometry.runs import problem_statement
from lit_experiments.experiments.geometry.solved import verdict_lines
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, figure
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_COLORS = (BLUE, ORANGE, GREEN, "#805ad5", "#b7791f", GREY)
_MARKERS = ("o", "^", "s", "D", "v", "P")
_PANELS = 6
_REASONS = 12
_ALL_COPIES = 10.0  # a gap (natural logarithm) that only clusters without any spread reach
_TEXT = 240  # characters of a solution or a reason shown
_LAYERS = ["layer", "problems", "clusters", "more than one", "silhouette", "adjusted Rand", "of lengths alone"]
_TOGETHER = [*_LAYERS[:1], "completions", "distinct texts", "clusters", *_LAYERS[4:]]
_PROBLEMS = ["problem", "kept", "distinct texts", "clusters", "sizes", "gap of 1", "gap", "adjusted Rand"]
_LEGEND = (
    "Each problem by itself: k-means on the latents of its kept completions; means over problems with bootstrap 95% "
    "intervals. Adjusted Rand: agreement with the methods known of the embedded problems, where a problem's "
    "completions use both (1: the same groups, 0: chance); beside it, what clustering the completions' lengths alone "
    "would reach. Few distinct texts make clusters easy: copies of a text lie on one point. Gap: the gap statistic; "
    "several clusters are reported where theirs exceeds that of one by more than its simulation error (copies: every "
    "cluster is one text, so nothing is left within)."
)
_TOGETHER_LEGEND = (
    "All problems together, after each problem's mean latent over all its completions, right and wrong, is taken away: "
    "clusters here are what solutions of different problems have in common."
)


def write_report(
    out: Path, result: dict[str, Any], problems: Sequence[Solved], store: Store, judge: JudgeSettings
) -> str:
    """Writes figures, RESULTS.md and report.html into `out`; returns what the terminal shows."""
    report = Report("Geometry of sampling: clusters of solutions")
    lines = demonstration(store)
    table, sentence = verdict_lines(result["verdicts"])
    lines.append(problem_statement(result["problems_asked"]))
    for statement in [*lines, sentence, _kept(result)]:
        report.text(statement)
    if not result["verdicts"][CORRECT]:
        lines += textwrap.wrap(sentence, 100)
    lines += ["", table, "", *textwrap.wrap(_kept(result), 100)]
    if problems:
        _tables(report, lines, result)
        _figures(report, out, result, problems)
        _representatives(report, result, problems)
    _judge(report, lines, result, problems, judge)
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}"])


def _kept(result: dict[str, Any]) -> str:
    which = "correct completions" if result["keep"] == "correct" else "completions (right or wrong)"
    told = (
        f"{result['problems_clustered']} of {result['problems_asked']} problems have at least "
        f"{result['min_completions']} {which} and are clustered"
    )
    short = result["completions_too_short"]
    told += f"; {short} completions are shorter than the stride and have no latent." if short else "."
    if not result["problems_clustered"]:
        told += " Nothing can be clustered." + (
            " --keep all would cluster wrong ones too." if result["keep"] == "correct" else ""
        )
    return told


def _tables(report: Report, lines: list[str], result: dict[str, Any]) -> None:
    rows = [
        [
            layer["site"],
            str(layer["clusters"].n),
            *(interval(layer[name], 2) for name in ("clusters", "several", "silhouette", "rand", "rand_of_lengths")),
        ]
        for layer in result["layers"]
    ]
    report.heading("Clusters within problems")
    report.table(_LAYERS, rows)
    report.text(_LEGEND)
    lines += ["", "Each problem by itself:", text_table(_LAYERS, rows)]
    each = [_problem_row(found) for found in result["layers"][0]["problems"]]
    report.heading(f"Each problem at {result['layers'][0]['site']}")
    report.table(_PROBLEMS, each)
    lines += ["", f"At {result['layers'][0]['site']}:", text_table(_PROBLEMS, each[:20])]
    if len(each) > 20:
        lines.append(f"... and {len(each) - 20} more in the report")
    lines += ["", textwrap.fill(_LEGEND, 100)]
    if result["layers"][0]["together"] is not None:
        rows = [_together_row(layer["site"], layer["together"]) for layer in result["layers"]]
        report.heading("All problems together")
        report.table(_TOGETHER, rows)
        report.text(_TOGETHER_LEGEND)
        lines += ["", "Together:", text_table(_TOGETHER, rows), "", textwrap.fill(_TOGETHER_LEGEND, 100)]


def _problem_row(found: dict[str, Any]) -> list[str]:
    choice = found["choice"]
    gaps = ("given", "given") if choice is None else (number(choice.gap_one, 2), number(choice.gap_best, 2))
    if choice is not None and choice.gap_best > _ALL_COPIES:
        gaps = (gaps[0], "copies")
    return [
        found["problem_id"],
        str(found["completions"]),
        str(found["distinct_texts"]),
        str(found["number"]),
        " + ".join(str(size) for size in found["sizes"]),
        *gaps,
        number(found["rand"], 2),
    ]


def _together_row(site: str, found: dict[str, Any]) -> list[str]:
    counted = [str(found[name]) for name in ("completions", "distinct_texts", "number")]
    return [site, *counted, *(number(found[name], 2) for name in ("silhouette", "rand", "rand_of_lengths"))]


def _figures(report: Report, out: Path, result: dict[str, Any], problems: Sequence[Solved]) -> None:
    first = result["layers"][0]
    shown = sorted(range(len(problems)), key=lambda i: -first["problems"][i]["number"])[:_PANELS]
    with figure(out / "clusters.png", min(3, len(shown)), 3.9 * -(-len(shown) // 3)) as drawn:
        for at, index in enumerate(sorted(shown)):
            axes = drawn.add_subplot(-(-len(shown) // 3), min(3, len(shown)), at + 1)
            found = first["problems"][index]
            _map(axes, found["plane"], found["labels"], found["methods"])
            centres = found["plane"][0][found["representatives"]]
            axes.plot(*centres.T[:2], "k+", markersize=13, markeredgewidth=1.6, zorder=4)
            axes.set_title(f"{found['problem_id']} ({found['completions']} completions)", fontsize=10)
    report.figure(
        out / "clusters.png",
        f"Kept completions at {first['site']} along the two leading principal components of each problem. Colour: "
        f"cluster; shape: known method; cross: representative. A number counts completions that lie on one point.",
    )
    if first["together"] is not None:
        with figure(out / "together.png", 1, 4.2) as drawn:
            axes = drawn.add_subplot()
            _map(axes, first["together"]["plane"], first["together"]["labels"], first["together"]["methods"])
        report.figure(out / "together.png", f"All problems together at {first['site']}, each about its own mean.")


def _map(axes: Any, plane: Any, labels: Any, methods: list[str] | None) -> None:
    """A scatter of the leading plane; one component is drawn as a line, copies are counted."""
    scores, shares = plane
    scores = np.pad(scores, ((0, 0), (0, max(0, 2 - scores.shape[1]))))
    kinds = sorted(set(methods or []))
    for cluster in sorted(set(labels.tolist())):
        for at, kind in enumerate(kinds or [None]):
            mine = labels == cluster
            if methods is not None:
                mine &= np.array(methods) == kind
            if mine.any():
                name = f"cluster {cluster + 1}" + (f", {kind}" if kind else "")
                color, marker = _COLORS[cluster % len(_COLORS)], _MARKERS[at % len(_MARKERS)]
                axes.plot(*scores[mine].T[:2], marker, color=color, alpha=0.65, markersize=7, label=name)
    places, copies = np.unique(scores[:, :2].round(3), axis=0, return_counts=True)
    if len(places) <= 12:
        for (x, y), count in zip(places, copies, strict=True):
            axes.annotate(str(count), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8)
    told = [f"{share:.0%} of variance" if np.isfinite(share) else "no variance" for share in [*shares, np.nan][:2]]
    axes.set(xlabel=f"component 1 ({told[0]})", ylabel=f"component 2 ({told[1]})")
    axes.margins(0.15)
    axes.legend(fontsize=8, loc="best")


def _representatives(report: Report, result: dict[str, Any], problems: Sequence[Solved]) -> None:
    report.heading("Representatives")
    report.text(f"The completion closest to each cluster's centroid, of the first {_PANELS} problems.")
    for problem, found in list(zip(problems, result["layers"][0]["problems"], strict=True))[:_PANELS]:
        texts = problem.of_kept(problem.texts)
        for cluster, row in enumerate(found["representatives"]):
            method = f", {found['methods'][row]}" if found["methods"] is not None else ""
            place = f"{problem.problem_id}, cluster {cluster + 1} ({found['sizes'][cluster]} completions{method})"
            report.text(f"{place}: {_short(texts[int(row)])}")


def _judge(
    report: Report, lines: list[str], result: dict[str, Any], problems: Sequence[Solved], settings: JudgeSettings
) -> None:
    report.heading("Judge")
    found = result["judge"]
    if found is None:
        told = (
            "No judge was asked whether the clusters are different methods. --judge_enabled true asks "
            f"{settings.endpoint.model} at {settings.endpoint.base_url} (its key in {settings.endpoint.key_variable}, "
            "from the environment or a .env file); --judge_kind local --judge_model MODEL asks a model on this machine."
        )
        report.text(told)
        lines += ["", *textwrap.wrap(told, 100)]
        return
    rows = [
        [kind, interval(found[kind], 2), *(str(found["verdicts"][kind][v]) for v in (*JUDGEMENTS, "opposed orders"))]
        for kind in (BETWEEN, WITHIN)
    ]
    headers = ["pairs", "judged different", *JUDGEMENTS, "opposed orders"]
    told = (
        f"Judge: {found['who']}. Distinctness, the share judged different between clusters less that within: "
        f"{interval(found['distinctness'], 2)}. Undecided pairs (orders that disagree, no readable verdict) count in "
        f"neither share; intervals over problems."
    )
    report.text(told)
    report.table(headers, rows)
    lines += ["", *textwrap.wrap(told, 100), text_table(headers, rows)]
    for each in found["comparisons"][:_REASONS]:
        pair = f"{each['kind']} clusters {each['clusters'][0] + 1} and {each['clusters'][1] + 1}"
        told = f"{problems[each['problem']].problem_id}, {pair}: {each['verdict']}."
        report.text(f"{told} Reasons, first order: {_short(each['opinions'][0]['reasons'])}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}..."
