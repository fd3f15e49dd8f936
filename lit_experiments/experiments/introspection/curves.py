"""Figures with one panel per target of study 3's probes and one line per pass whose states are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lit_experiments.experiments.introspection.scoring import NAMES, R2
from lit_experiments.reports.figures import BLUE, GREEN, ORANGE, figure, layer_axis

COLORS = {"mcq": BLUE, "self_confidence": ORANGE, "other_confidence": GREEN}
_PER_ROW = 4
_FLOOR = -0.35  # R2 may lie far below 0 in a bad layer; how far says nothing


def draw_panels(
    path: Path,
    pairs: Sequence[dict[str, Any]],
    layers: list[str],
    draw: Callable[[Any, list[int], list[dict[str, Any]]], None],
) -> Path:
    """One panel per target, drawn by draw(axes, places of the layers, the target's pairs), with one legend for all."""
    targets = list(dict.fromkeys(pair["target"] for pair in pairs))
    columns = min(_PER_ROW, len(targets))
    rows = -(-len(targets) // columns)
    with figure(path, columns=columns, height=3.4 * rows + 0.5) as drawn:
        for place, target in enumerate(targets):
            axes = drawn.add_subplot(rows, columns, place + 1)
            some = [pair for pair in pairs if pair["target"] == target]
            draw(axes, layer_axis(axes, layers), some)
            axes.axhline(some[0]["chance"], color="black", linewidth=0.6)
            bottom = _FLOOR if some[0]["score"] == R2 else 0.0
            axes.set(title=target, ylabel=NAMES[some[0]["score"]], ylim=(bottom, 1.04))
        entries: dict[str, Any] = {}
        for axes in drawn.axes:
            handles, labels = axes.get_legend_handles_labels()
            entries |= dict(zip(labels, handles, strict=True))
        drawn.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=5, fontsize=9)
    return path
