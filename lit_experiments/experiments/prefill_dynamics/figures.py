"""The pictures of study 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL, SHUFFLED
from lit_experiments.experiments.prefill_dynamics.contrasts import LEAST_TOKENS, Contrast
from lit_experiments.experiments.prefill_dynamics.findings import Findings
from lit_experiments.experiments.prefill_dynamics.formulas import metrics
from lit_experiments.experiments.prefill_dynamics.interpretation import SURE
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, band, figure, layer_axis, level, shared_legend
from lit_experiments.statistics import Estimate

_SAMPLED = (GREEN, "#6b46c1", "#b7791f")
_MARKERS = "os^Dv"


def colours(names: Sequence[str]) -> dict[str, str]:
    """One colour per condition, the same in all figures."""
    fixed = {HUMAN: BLUE, MODEL: ORANGE, SHUFFLED: GREY}
    sampled = [name for name in names if name not in fixed]
    return fixed | {name: _SAMPLED[i % len(_SAMPLED)] for i, name in enumerate(sampled)}


def draw_levels(path: Path, found: Findings) -> Path:
    """Smoothness by layer with bands, in the states' own units and relative to their norms; and consistency."""
    panels = {"smoothness": "smoothness: mean step", "relative smoothness": "mean step / mean norm"}
    panels["consistency"] = "mean cosine of successive steps"
    colour = colours(list(found.levels))
    with figure(path, columns=3, height=4.0) as drawn:
        for at, (metric, label) in enumerate(panels.items()):
            axes = drawn.add_subplot(1, 3, at + 1)
            places = layer_axis(axes, found.layers)
            for name, each in found.levels.items():
                band(axes, places, each.layers[metric], colour[name], name)
            axes.set(title=label)
        shared_legend(drawn, axes)
    return path


def draw_differences(path: Path, found: Findings) -> Path:
    """Per-layer differences of every pair: as a part of the first condition's value, and as Cohen's d."""
    panels: dict[str, Callable[[Any], Estimate]] = {
        "difference in smoothness, % of the first": lambda p: p.relative.mapped(lambda part: 100 * part),
        "Cohen's d of the pairs": lambda p: p.d,
    }
    tones = [ORANGE, GREEN, "#6b46c1", GREY, BLUE]
    with figure(path, columns=2, height=4.4) as drawn:
        for at, (label, value) in enumerate(panels.items()):
            axes = drawn.add_subplot(1, 2, at + 1)
            places = layer_axis(axes, found.layers)
            by_layer = [pair for pair in found.main if pair.layers["smoothness"]]
            for pair, tone in zip(by_layer, cycle(tones), strict=False):
                _difference(axes, places, pair, value, tone)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set(title=label)
        shared_legend(drawn, axes)
    return path


def _difference(axes: Any, places: list[int], pair: Contrast, value: Callable[[Any], Estimate], tone: str) -> None:
    by_layer = pair.layers["smoothness"]
    band(axes, places, [value(each) for each in by_layer], tone, pair.name, style="-")
    # Filled: p below 0.05 after correction over layers.
    sure = [p < SURE for p in pair.p_holm["smoothness"]]
    for place, each, filled in zip(places, by_layer, sure, strict=True):
        axes.plot(place, value(each).value, "o", color=tone, markersize=5, fillstyle="full" if filled else "none")


def draw_surprise(path: Path, found: Findings) -> Path:
    """Cross-entropy against smoothness: every text, and the paired differences human minus model."""
    colour = colours(list(found.levels))
    with figure(path, columns=2, height=4.4) as drawn:
        axes = drawn.add_subplot(1, 2, 1)
        for (name, points), marker in zip(_texts(found).items(), _MARKERS * 3, strict=False):
            axes.scatter(*points, s=18, alpha=0.65, color=colour[name], marker=marker, linewidths=0, label=name)
        axes.set(xlabel="cross-entropy of the continuation (nats per token)", ylabel="smoothness (mean step)")
        axes.set_title("every text")
        shared_legend(drawn, axes)
        if found.headline is not None:
            _draw_gaps(drawn.add_subplot(1, 2, 2), found.headline)
    return path


def _texts(found: Findings) -> dict[str, tuple[list[float], list[float]]]:
    points: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in found.levels}
    for each in found.rows:
        if each.steps.tokens >= LEAST_TOKENS:
            points[each.condition][0].append(each.ce_mean(None))
            points[each.condition][1].append(float(metrics(each.steps, None, None)["smoothness"].mean()))
    return points


def _draw_gaps(axes: Any, pair: Contrast) -> None:
    ce, moved = (pair.values[name][0] - pair.values[name][1] for name in ("ce", "smoothness"))
    axes.scatter(ce, moved, s=22, alpha=0.7, color="#2d3748", linewidths=0)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(0, color="black", linewidth=0.8)
    level(axes, pair.over_layers["smoothness"].difference, ORANGE, "mean difference")
    axes.set(xlabel=f"cross-entropy, {pair.a} - {pair.b} (nats per token)", ylabel=f"smoothness, {pair.a} - {pair.b}")
    axes.set_title("the same paragraph, human minus model")


def draw_norms(path: Path, found: Findings, paragraph: str) -> Path:
    """Norms along the continuations of one paragraph: a row per condition, an early, a middle and the last layer."""
    last = len(found.layers) - 1
    layers = list(dict.fromkeys([0, last // 2, last]))
    colour = colours(list(found.levels))
    rows = [t for t in found.rows if t.paragraph_id == paragraph and t.steps.tokens >= LEAST_TOKENS]
    with figure(path, columns=3, height=1.5 * len(rows) + 0.8) as drawn:
        grid = drawn.subplots(len(rows), len(layers), sharex=True, sharey="col", squeeze=False)
        for line, each in zip(grid, rows, strict=True):
            for axes, layer in zip(line, layers, strict=True):
                norms, marked = each.steps.norms[layer], np.flatnonzero(each.sinks[layer])
                axes.plot(norms, color=colour[each.condition], linewidth=1.3)
                axes.plot(marked, norms[marked], "x", color="black")
            line[0].set_ylabel(each.condition)
        for axes, layer in zip(grid[0], layers, strict=True):
            axes.set_title(f"norm at {found.layers[layer]}")
            axes.set_ylim(0, 1.05 * max(float(each.steps.norms[layer].max()) for each in rows))
        for axes in grid[-1]:
            axes.set_xlabel("token of the continuation")
    return path


def typical_paragraph(pair: Contrast) -> str | None:
    """The paragraph whose difference in smoothness is closest to the median one; None without paragraphs."""
    if not pair.paragraphs:
        return None
    gaps = pair.values["smoothness"][0] - pair.values["smoothness"][1]
    return pair.paragraphs[int(np.argmin(np.abs(gaps - np.median(gaps))))]
