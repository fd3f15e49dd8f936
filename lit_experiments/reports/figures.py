"""One look for all figures, and what is drawn in many of them: values over layers with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lit_experiments.statistics import Estimate

BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#c05621", "#2f855a", "#718096"
_MOST_TICKS = 12
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def figure(path: Path, columns: int, height: float = 3.6) -> Iterator[Figure]:
    """A figure with `columns` panels' worth of width, saved to `path` when the block ends without an error."""
    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(4.6 * columns, height))
        FigureCanvasAgg(drawn)
        yield drawn
        drawn.savefig(path, dpi=150)


def layer_axis(axes: Any, names: Sequence[str]) -> list[int]:
    """Labels the horizontal axis with the sites; returns where each is drawn."""
    at = list(range(len(names)))
    kinds = {name.rpartition(".")[0] for name in names}
    numbered = len(kinds) == 1 and "" not in kinds
    every = -(-len(at) // _MOST_TICKS)
    labels = [name.rpartition(".")[2] if numbered else name for name in names]
    axes.set_xticks(at[::every], labels[::every], rotation=0 if numbered else 60)
    axes.set_xlabel(f"layer ({kinds.pop()})" if numbered else "site")
    return at


def band(axes: Any, at: list[int], values: Sequence[Estimate], color: str, label: str, style: str = "o-") -> None:
    """A line with its intervals; no value, no point."""
    middle, low, high = (np.array([getattr(v, name) for v in values]) for name in ("value", "low", "high"))
    axes.plot(at, middle, style, color=color, label=label, markersize=4)
    if len(at) == 1:  # one layer: a band would have no width
        axes.vlines(at, low, high, color=color, alpha=0.4, linewidth=3)
    else:
        axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)


def level(axes: Any, value: Estimate, color: str, label: str, style: str = "-") -> None:
    """A horizontal line with its interval, if it has one."""
    axes.axhline(value.value, color=color, linewidth=1.5, linestyle=style, label=label)
    if value.has_interval:
        axes.axhspan(value.low, value.high, color=color, alpha=0.18, linewidth=0)


def legend(axes: Any) -> None:
    """A legend below the axis, where it covers nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9)


def shared_legend(drawn: Figure, axes: Any, columns: int | None = None) -> None:
    """One legend below all panels, with what is drawn in `axes`; in one row unless `columns` says otherwise."""
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=columns or max(1, len(labels)), fontsize=9)


def unit_range(axes: Any) -> tuple[float, float]:
    """Vertical limits for correlations and cosines drawn so far: from 0, or below the lowest, to just above 1."""
    lowest = min(0.0, max(float(axes.dataLim.y0), -1.5))
    return (lowest - 0.06, max(1.06, min(float(axes.dataLim.y1), 1.5) + 0.03))


def reliability_diagram(axes: Any, stated: Sequence[float], found: Sequence[float], weight: Sequence[float]) -> None:
    """What came true against what was said, by bins; a dot's area is its share of the weight. Empty bins have none."""
    share = np.asarray(weight, float) / max(1e-12, float(np.sum(weight)))
    used = share > 0
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    axes.plot(np.asarray(stated)[used], np.asarray(found)[used], "-", color=BLUE, linewidth=1)
    axes.scatter(np.asarray(stated)[used], np.asarray(found)[used], s=12 + 300 * share[used], color=BLUE, alpha=0.6)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
