"""The page of the sampling variance, as blocks."""

from __future__ import annotations

from functools import partial

import numpy as np

from lit_experiments.experiments.geometry.statements import problem_statement
from lit_experiments.experiments.geometry.variance_result import VarianceResult
from lit_experiments.reports.blocks import (
    Cell,
    Column,
    Curves,
    Heatmap,
    Note,
    Page,
    Panel,
    Section,
    Series,
    Table,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

_METHODS = (
    "Latent z: mean of the residual stream over one in {stride} generated tokens up to a length. Var: trace of the "
    "covariance (ddof 1) of one problem's completions, mean over problems with {level:.0%} intervals over "
    "them; also over the mean squared length of z. Dimension: participation ratio of the same covariance, at most the "
    "number of completions minus one. Growth: mean Var over that at the length before, of the same completions; above "
    "1 the spread still grows. Means over more tokens vary less by themselves: independent tokens would halve Var at "
    "twice the length. A dash: no value, as where nothing varies or too few got so far."
)
_REACH = (
    "Completions that reached each length, of all that were sampled, and problems with at least two of them, which "
    "have a variance. Longer lengths are those of longer solutions."
)
_MEASURES = (
    Column("temperature", "number", 1, "0 is greedy"),
    Column("tokens", "count", meaning="length up to which latents are pooled"),
    Column("layer"),
    Column("Var", "estimate", None, "trace of the covariance of one problem's latents, mean over problems"),
    Column("Var / |z|²", "estimate", 4),
    Column("dimension", "estimate", 2, "participation ratio of the covariance"),
    Column("growth", "estimate", 2, "Var over that at the length before, same completions"),
)
_REACHED = (
    Column("temperature", "number", 1),
    Column("tokens", "count"),
    Column("completions", "count"),
    Column("of", "count"),
    Column("problems", "count"),
)


def variance_page(result: VarianceResult, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    return Page(
        title="Geometry: how far sampling spreads the latents",
        question="How far do a model's states spread when it answers the same problem again and again, and does the "
        "spread grow with depth, temperature and length?",
        done=f"{problem_statement(result.problems)} Completions were sampled at temperatures "
        f"{', '.join(f'{t:g}' for t in result.temperatures)} and pooled up to "
        f"{', '.join(map(str, result.checkpoints))} tokens at {len(result.layers)} layers.",
        outcome=[_statement(result, t) for t in sorted(range(len(result.temperatures)), key=partial(_flat, result))],
        certainty=f"Intervals are {result.interval_level:.0%}, over the {result.problems} problems.",
        sections=[
            Section("Over layers and lengths", [_heatmap(result), _over_depth(result), _over_length(result)]),
            Section("At the longest length that half of the problems reached", [_table(result)]),
            Section("How many completions got so far", [_reached(result), Note(_REACH)]),
        ],
        methods=[_METHODS.format(level=result.interval_level, stride=result.stride)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _flat(result: VarianceResult, t: int) -> bool:
    """Whether a temperature has no spread to speak of, and so comes last."""
    return bool(np.isnan(result.peaks[t].variance.value))


def _statement(result: VarianceResult, t: int) -> str:
    name, top = _name(result, t), result.peaks[t].variance
    if _flat(result, t):
        values = [estimate.value for layer in result.variance[t] for estimate in layer]
        same = "all completions of a problem are the same, so Var is exactly 0"
        return f"{name}: {'no completions are long enough' if np.isnan(values).all() else same}."
    length = result.checkpoints[result.longest[t]]
    return (
        f"{name}: at {length} tokens Var is largest at {_place(result, top)}, over |z|² at "
        f"{_place(result, result.peaks[t].normalised)}. {_trend(result, t)}"
    ).rstrip()


def _place(result: VarianceResult, top: Estimate) -> str:
    if not top.has_interval:
        return f"{result.layers[int(top.value)]} (no interval: {top.no_interval})"
    low, high = result.layers[int(np.floor(top.low))], result.layers[int(np.ceil(top.high))]
    return f"{result.layers[int(top.value)]} (in resamples {low} to {high})"


def _trend(result: VarianceResult, t: int) -> str:
    """What happens from length to length at the layer where Var is largest."""
    steps = zip(
        result.checkpoints[:-1],
        result.checkpoints[1:],
        result.trend[t][int(result.peaks[t].variance.value)],
        strict=True,
    )
    words = ", ".join(f"{shorter} to {longer} tokens {word}" for shorter, longer, word in steps)
    return f"There, over length: {words}." if words else ""


def _varies(result: VarianceResult) -> list[int]:
    """Temperatures at which anything varies, by index."""
    return [t for t, peaks in enumerate(result.peaks) if not np.isnan(peaks.variance.value)]


def _table(result: VarianceResult) -> Table:
    measures = (result.variance, result.normalised, result.dimension, result.growth)
    rows: list[list[Cell]] = [
        [
            result.temperatures[t],
            result.checkpoints[result.longest[t]],
            name,
            *(values[t][layer][result.longest[t]] for values in measures),
        ]
        for t in _varies(result)
        for layer, name in enumerate(result.layers)
    ]
    return Table("spread", "", _MEASURES, rows)


def _reached(result: VarianceResult) -> Table:
    rows: list[list[Cell]] = [
        [temperature, length, reached, result.sampled[t], problems]
        for t, temperature in enumerate(result.temperatures)
        for length, reached, problems in zip(
            result.checkpoints, result.reached[t], result.problems_with_variance[t], strict=True
        )
    ]
    return Table("reached", "", _REACHED, rows)


def _heatmap(result: VarianceResult) -> Heatmap:
    return Heatmap(
        "variance_heat",
        "Mean of Var / |z|² by layer and length; logarithmic colours, one scale for all temperatures.",
        x="generated tokens",
        y="layer",
        value="Var / |z|²",
        columns=[str(length) for length in result.checkpoints],
        rows=result.layers,
        panels={
            _name(result, t): [[estimate.value for estimate in layer] for layer in result.normalised[t]]
            for t in _varies(result)
        },
        scale="log",
    )


def _over_depth(result: VarianceResult) -> Curves:
    panels = []
    for title, label, values in (
        ("Over depth", "Var", result.variance),
        ("Over depth, normalised", "Var / |z|²", result.normalised),
    ):
        series = [
            Series(_name(result, t), result.layers, [layer[result.longest[t]] for layer in values[t]])
            for t in range(len(result.temperatures))
        ]
        panels.append(Panel(title, series, label, bounds=(0, None)))
    caption = "Var over depth at the longest length that half of the problems reached; right: over |z|²."
    return Curves("variance_depth", caption, "layer", panels)


def _over_length(result: VarianceResult) -> Curves:
    series = [
        Series(f"{_name(result, t)}, {result.layers[layer]}", result.checkpoints, result.variance[t][layer])
        for t, layer in ((t, int(result.peaks[t].variance.value)) for t in _varies(result))
    ]
    caption = "Var over length, at each temperature's layer of largest Var."
    return Curves("variance_length", caption, "generated tokens", [Panel("", series, "Var", bounds=(0, None))])


def _name(result: VarianceResult, t: int) -> str:
    return f"T = {result.temperatures[t]:g}"
