"""Tables, figures and pages of the attribution."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.geometry.path_report import shown
from lit_experiments.experiments.geometry.runs import problem_statement
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, figure, legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from lit_experiments.statistics import Estimate
from stores import Store

_HEADERS = ["part", "frozen norm", "attention", "MLP", "raw", "attention", "MLP"]
_POINTS = ["rank", "problem", "token", "taken", "instead", "difference", "embedding", "layers", "biases", "residual"]
_LEGEND = (
    "Contributions to logit[taken] - logit[second], in logits; above 0 a part prefers the token that was taken. Frozen "
    "norm: through the final norm with its statistics held fixed; embedding, layers and biases then sum to the "
    "difference. Raw: without the norm, on the residual stream's own scale. Means over {points} points, intervals: "
    "{level:.0%}, bootstrap over problems."
)
_WIDE = 24  # layers beyond which their names are thinned out


def write_report(out: Path, result: dict[str, Any], points: list[dict[str, Any]], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`. points: those drawn one by one.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Geometry: which layers decide where solutions part")
    statements = [*demonstration(store), *_statements(result)]
    for statement in statements:
        report.text(statement)
    files = [_draw_mean(out / "attribution_mean.png", result), _draw_points(out / "attribution_points.png", points)]
    rows = _rows(result)
    each = [_point_row(row) for row in points]
    explained = _LEGEND.format(level=result["interval_level"], points=len(result["points"]))
    report.heading("All points together")
    report.figure(files[0], "Mean contribution of each layer through the frozen final norm, by attention and MLP.")
    report.table(_HEADERS, rows)
    report.text(explained)
    report.heading("The farthest points")
    report.figure(files[1], _CAPTION)
    report.table(_POINTS, each)
    page = report.write(out)
    lines = [
        *statements,
        "",
        text_table(_HEADERS, rows),
        "",
        text_table(_POINTS, each),
        "",
        textwrap.fill(explained, 100),
    ]
    return "\n".join([*lines, "", f"Report:  {page}", *(f"Figure:  {file}" for file in files)])


_CAPTION = (
    "Contributions through the frozen norm at single points: E the embedding, then each layer's attention and MLP, b "
    "the biases. The title names the token taken / the second most likely one, and the whole difference."
)


def _statements(result: dict[str, Any]) -> list[str]:
    relative = result["largest_relative_residual"]
    lines = [
        problem_statement(result["problems"]),
        f"{len(result['points'])} points. The parts sum to the difference of the logits within "
        f"{result['largest_residual']:.1e} logits, at most {relative:.1e} of the difference; attention and MLP sum to "
        f"their layer within {result['largest_rest']:.1e}.",
    ]
    if result["largest_effect_of_the_cap"] > 0:
        lines.append(
            f"The model caps its logits softly: attributed is the difference before the cap, which changes it by up to "
            f"{result['largest_effect_of_the_cap']:.2f} logits."
        )
    shares = result["shares"]
    lines.append(
        f"Of the whole difference, attention makes {interval(shares['attention'], 2)} and the MLPs "
        f"{interval(shares['mlp'], 2)}."
    )
    return lines


def _rows(result: dict[str, Any]) -> list[list[str]]:
    kinds = [result["frozen"], result["raw"]]
    rows = [["embedding", *(cell for kind in kinds for cell in (_cell(kind["embed"]), "", ""))]]
    for layer in range(result["layers"]):
        cells = [_cell(kind[part][layer]) for kind in kinds for part in ("layers", "attention", "mlp")]
        rows.append([f"layer {layer}", *cells])
    rows.append(["biases", _cell(result["bias"]), *[""] * 5])
    rows.append(["whole difference", _cell(result["difference"]), *[""] * 5])
    return rows


def _cell(estimate: Estimate) -> str:
    return interval(estimate, 2)


def _point_row(row: dict[str, Any]) -> list[str]:
    return [
        str(row["rank"]),
        row["problem_id"],
        str(row["position"]),
        repr(row["first_text"]),
        repr(row["second_text"]),
        number(row["difference"]),
        number(row["frozen_embed"]),
        number(float(row["frozen_layers"].sum())),
        number(row["bias"]),
        f"{row['residual']:.1e}",
    ]


def _draw_mean(path: Path, result: dict[str, Any]) -> Path:
    with figure(path, columns=2, height=3.8) as drawn:
        axes = drawn.add_subplot(1, 1, 1)
        at = np.arange(result["layers"])
        for shift, part, color, label in ((-0.2, "attention", BLUE, "attention"), (0.2, "mlp", ORANGE, "MLP")):
            values = result["frozen"][part]
            middle, low, high = (np.array([getattr(v, name) for v in values]) for name in ("value", "low", "high"))
            axes.bar(at + shift, middle, width=0.4, color=color, label=label, alpha=0.9)
            axes.vlines(at + shift, low, high, color="black", linewidth=1)
        embed = result["frozen"]["embed"]
        axes.bar(-1, embed.value, width=0.6, color=GREEN, label="embedding")
        axes.vlines(-1, embed.low, embed.high, color="black", linewidth=1)
        axes.bar(result["layers"], result["bias"].value, width=0.6, color=GREY, label="biases")
        axes.axhline(0, color="black", linewidth=0.6)
        _layer_names(axes, result["layers"])
        axes.set(xlabel="layer (E: embedding, b: biases)", ylabel="logits, mean over points")
        legend(axes)
    return path


def _draw_points(path: Path, points: list[dict[str, Any]]) -> Path:
    """One panel per point, attention and MLP of a layer on top of each other (below 0 likewise)."""
    columns = min(3, len(points))
    rows = -(-len(points) // columns)
    with figure(path, columns=columns, height=2.7 * rows) as drawn:
        for place, row in enumerate(points):
            axes = drawn.add_subplot(rows, columns, place + 1)
            layers = len(row["frozen_layers"])
            at = np.arange(layers)
            attention, mlp = row["frozen_attention"], row["frozen_mlp"]
            under = np.where(np.sign(attention) == np.sign(mlp), attention, 0.0)
            axes.bar(at, attention, width=0.7, color=BLUE, label="attention")
            axes.bar(at, mlp, width=0.7, bottom=under, color=ORANGE, label="MLP")
            axes.bar(-1, row["frozen_embed"], width=0.7, color=GREEN, label="embedding")
            axes.bar(layers, row["bias"], width=0.7, color=GREY, label="biases")
            axes.axhline(0, color="black", linewidth=0.6)
            _layer_names(axes, layers)
            axes.set_title(
                f"{shown(row['first_text'])} / {shown(row['second_text'])}: {row['difference']:.2f}\n"
                f"{row['problem_id']}, token {row['position']}",
                fontsize=9,
            )
            if place % columns == 0:
                axes.set_ylabel("logits")
        drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return path


def _layer_names(axes: Any, layers: int) -> None:
    every = -(-layers // _WIDE)
    kept = list(range(layers))[::every]
    axes.set_xticks([-1, *kept, layers], ["E", *map(str, kept), "b"])
