"""The page of the attribution, as blocks."""

from __future__ import annotations

from lit_experiments.experiments.geometry.attribution_result import AttributedPoint, AttributionResult
from lit_experiments.experiments.geometry.statements import certainty, problem_statement, visible
from lit_experiments.reports.blocks import Bar, Bars, Block, Cell, Column, Heatmap, Note, Page, Section, Table
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION

_METHODS = (
    "Contributions to logit[taken] - logit[second], in logits; above 0 a part prefers the token that was taken. Frozen "
    "norm: through the final norm with its statistics held fixed; embedding, layers and biases then sum to the "
    "difference. Raw: without the norm, on the residual stream's own scale. Means over {points} points, intervals: "
    "{level:.0%}, over problems."
)
_MEANS = (
    Column("part"),
    Column("frozen norm", "estimate", 2, "through the final norm, its statistics held fixed: parts sum to the whole"),
    Column("its attention", "estimate", 2),
    Column("its MLP", "estimate", 2),
    Column("raw", "estimate", 2, "without the final norm, on the residual stream's own scale"),
    Column("raw attention", "estimate", 2),
    Column("raw MLP", "estimate", 2),
)
_POINTS = (
    Column("rank", "count", meaning="of the point in the path_sensitivity run, 1 leads farthest away"),
    Column("problem, token", meaning="number of the generated token that is decided, from 1"),
    Column("taken", "token"),
    Column("instead", "token"),
    Column("difference", "number", 3, "logit[taken] - logit[second]"),
    Column("embedding", "number", 3, "its contribution through the frozen norm"),
    Column("layers", "number", 3, "their contributions together"),
    Column("biases", "number", 3),
    Column("residual", "number", None, "what rounding leaves"),
)
_SUMS = (
    Column("what"),
    Column("at most", "number", None, "over all points"),
)
_MOST_NUMBERS = 12  # points next to each other in whose cells numbers still have room


def attribution_page(result: AttributionResult, shown: int, demonstration: bool) -> Page:
    """The page. shown: points one by one, the farthest; demonstration: the data are the embedded model's."""
    points = result.points[:shown]
    return Page(
        title="Geometry: which layers decide where solutions part",
        question="Where solutions part, which layers preferred the token that was taken to the second most likely one: "
        "attention or MLP, early or late?",
        done=f"{problem_statement(result.problems)} At {len(result.points)} branching points, the difference of the "
        "two tokens' logits was split into embedding, attention and MLP of every layer, and biases.",
        outcome=[_shares(result), _strongest(result)],
        certainty=f"{certainty(result.interval_level)} The split itself is exact up to rounding: the parts sum to the "
        f"difference of the logits within {result.largest_residual:.1e} logits.",
        sections=[
            Section("All points together", [_mean_bars(result), _mean_table(result)]),
            Section("The farthest points", [_heatmap(points), _point_table(points)]),
            Section("Do the parts add up?", _sums(result)),
        ],
        methods=[_METHODS.format(points=len(result.points), level=result.interval_level)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _shares(result: AttributionResult) -> str:
    return (
        f"Of the whole difference ({interval(result.difference, 2)} logits on average), attention makes "
        f"{interval(result.shares.attention, 2)} and the MLPs {interval(result.shares.mlp, 2)}."
    )


def _strongest(result: AttributionResult) -> str:
    means = result.frozen.layers
    top = max(range(result.layers), key=lambda layer: means[layer].value)
    return (
        f"The layer with the largest mean contribution is layer {top} of {result.layers}: {means[top].value:.2f} "
        "logits (no interval: it is the largest of all)."
    )


def _mean_bars(result: AttributionResult) -> Bars:
    bars = [Bar("embedding", result.frozen.embed, "embedding, biases")]
    for layer in range(result.layers):
        bars.append(Bar(f"layer {layer}", result.frozen.attention[layer], "attention"))
        bars.append(Bar(f"layer {layer}", result.frozen.mlp[layer], "MLP"))
    bars.append(Bar("biases", result.bias, "embedding, biases"))
    caption = "Mean contribution of each layer through the frozen final norm, by attention and MLP."
    return Bars("attribution_mean", caption, "logits, mean over points", bars)


def _mean_table(result: AttributionResult) -> Table:
    kinds = (result.frozen, result.raw)
    rows: list[list[Cell]] = [["embedding", result.frozen.embed, None, None, result.raw.embed, None, None]]
    for layer in range(result.layers):
        cells = [part[layer] for kind in kinds for part in (kind.layers, kind.attention, kind.mlp)]
        rows.append([f"layer {layer}", *cells])
    rows.append(["biases", result.bias, *[None] * 5])
    rows.append(["whole difference", result.difference, *[None] * 5])
    return Table("means", "", _MEANS, rows, most=len(rows))


def _heatmap(points: list[AttributedPoint]) -> Heatmap:
    layers = range(len(points[0].frozen_layers))
    names = [f"{p.rank}: {visible(p.first_text)} / {visible(p.second_text)}" for p in points]
    return Heatmap(
        "attribution_points",
        "Contributions of each layer's attention and MLP through the frozen norm at single points. Each column names "
        "the point's rank, the token taken / the second most likely one; above 0 a part prefers the one taken.",
        x="point",
        y="layer",
        value="logits",
        columns=names,
        rows=[f"layer {layer}" for layer in layers],
        panels={
            "attention": [[p.frozen_attention[layer] for p in points] for layer in layers],
            "MLP": [[p.frozen_mlp[layer] for p in points] for layer in layers],
        },
        scale="diverging",
        shown=len(points) <= _MOST_NUMBERS,
    )


def _point_table(points: list[AttributedPoint]) -> Table:
    rows: list[list[Cell]] = [
        [
            p.rank,
            f"{p.problem_id}, {p.position}",
            p.first_text,
            p.second_text,
            p.difference,
            p.frozen_embed,
            float(sum(p.frozen_layers)),
            p.bias,
            p.residual,
        ]
        for p in points
    ]
    return Table("points", "", _POINTS, rows)


def _sums(result: AttributionResult) -> list[Block]:
    rows: list[list[Cell]] = [
        ["difference minus embedding, layers and biases, logits", result.largest_residual],
        ["the same, over the difference", result.largest_relative_residual],
        ["layer minus its attention and MLP, logits", result.largest_rest],
    ]
    blocks: list[Block] = [Table("sums", "", _SUMS, rows)]
    if result.largest_effect_of_the_cap > 0:
        blocks.append(
            Note(
                "The model caps its logits softly: attributed is the difference before the cap, which changes it by up "
                f"to {result.largest_effect_of_the_cap:.2f} logits."
            )
        )
    return blocks
