"""Which layers decide at the branching points that lead farthest away: attention or MLP, early or late?

    lit-experiments analyze --exp attribution --run runs/attribution

Contributions through the frozen final norm add up to the difference of the two logits; the raw ones do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from lit_experiments.experiments.geometry.attribution_page import attribution_page
from lit_experiments.experiments.geometry.attribution_result import (
    AttributedPoint,
    AttributionResult,
    Parts,
    Shares,
)
from lit_experiments.experiments.geometry.averages import estimate
from lit_experiments.ranges import at_least
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store


@dataclass(frozen=True, kw_only=True)
class Attribution(AnalyzeTask[AttributionResult]):
    """What each layer contributes to the choice at branching points; intervals over problems.

    Args:
        shown_points: Points shown one by one, the farthest first.
    """

    shown_points: int

    reads: ClassVar[Reads] = Reads("attribution", ("frozen_layers", "rank", "difference"))
    result_type: ClassVar[type] = AttributionResult

    def check(self) -> None:
        """Raises UserError for fewer than one point."""
        at_least(1, shown_points=self.shown_points)

    def result(self, data: Opened) -> AttributionResult:
        """Averages the contributions over points."""
        points = _points(data.store)
        groups = [point.problem_id for point in points]
        boot = self.resampler(groups)
        relative = [abs(p.residual) / abs(p.difference) for p in points if p.difference]
        return AttributionResult(
            interval_level=LEVEL,
            largest_residual=max(abs(p.residual) for p in points),
            largest_relative_residual=max(relative, default=np.nan),
            largest_rest=max(_rest(p) for p in points),
            largest_effect_of_the_cap=max(abs(p.capped_difference - p.difference) for p in points),
            layers=len(points[0].frozen_layers),
            problems=len(set(groups)),
            frozen=_parts(points, "frozen", boot),
            raw=_parts(points, "raw", boot),
            bias=_mean([p.bias for p in points], boot),
            difference=_mean([p.difference for p in points], boot),
            shares=Shares(_share(points, "frozen_attention", boot), _share(points, "frozen_mlp", boot)),
            points=points,
        )

    def page(self, result: AttributionResult, data: Opened) -> Page:
        """Means over points, and the farthest points one by one."""
        return attribution_page(result, self.shown_points, is_demonstration(data.store))


def _points(store: Store) -> list[AttributedPoint]:
    """The store's rows, the farthest first."""
    names = [field.name for field in fields(AttributedPoint)]
    rows = sorted(store.iter_rows(), key=lambda row: row["rank"])
    plain = ({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in rows)
    return [AttributedPoint(**{name: row[name] for name in names}) for row in plain]


def _rest(point: AttributedPoint) -> float:
    """How far attention and MLP are from their layer, at worst."""
    parts = (point.frozen_layers, point.frozen_attention, point.frozen_mlp)
    whole, attention, mlp = (np.array(values) for values in parts)
    return float(np.abs(whole - attention - mlp).max())


def _parts(points: Sequence[AttributedPoint], kind: str, boot: GroupBootstrap) -> Parts:
    by_layer = {
        part: boot.mean([getattr(point, f"{kind}_{part}") for point in points]).tolist()
        for part in ("layers", "attention", "mlp")
    }
    return Parts(**by_layer, embed=_mean([getattr(point, f"{kind}_embed") for point in points], boot))


def _mean(values: Sequence[float], boot: GroupBootstrap) -> Estimate:
    return estimate(boot.mean(values))


def _share(points: Sequence[AttributedPoint], part: str, boot: GroupBootstrap) -> Estimate:
    """Total of a part over all layers, over the total difference."""
    totals = [np.array(getattr(point, part)).sum() for point in points]
    return estimate(boot.ratio(totals, [point.difference for point in points]))
