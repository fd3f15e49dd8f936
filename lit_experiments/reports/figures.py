"""One look for all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#c05621", "#2f855a", "#718096"
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
