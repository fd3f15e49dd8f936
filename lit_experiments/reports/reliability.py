"""Reliability diagrams as blocks: what is forecast, and how often it comes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lit_experiments.reports.blocks import Points


def reliability_points(
    bins: Mapping[str, Sequence[float]], title: str = "", x_name: str = "", y_name: str = ""
) -> Points:
    """A dot per bin that is not empty; its area is the bin's share.

    bins: weight, mean confidence and accuracy (share that came true) of each bin, as `statistics.calibration` gives.
    """
    total = sum(bins["weight"])
    used = [b for b, weight in enumerate(bins["weight"]) if weight > 0]
    return Points(
        title,
        [bins["confidence"][b] for b in used],
        [bins["accuracy"][b] for b in used],
        size=[bins["weight"][b] / total for b in used],
        x_name=x_name,
        y_name=y_name,
    )
