"""Where along a solution does the second most likely token lead far away, and does it change the answer?

    lit-experiments analyze --exp path_sensitivity --run runs/path_sensitivity

Writes bifurcation_points.json too: all points, farthest first, which the collection of the attribution reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.averages import Floats, estimate
from lit_experiments.experiments.geometry.path_page import path_page
from lit_experiments.experiments.geometry.path_points import EXPERIMENT, FILE, READS, Point, read_points, write_points
from lit_experiments.experiments.geometry.path_result import PathResult, WindowCount
from lit_experiments.experiments.geometry.stored_layers import layer_names
from lit_experiments.ranges import at_least
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL, Estimate, spearman
from lit_experiments.statistics.intervals import SHARE
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened


@dataclass(frozen=True, kw_only=True)
class PathSensitivity(AnalyzeTask[PathResult]):
    """Ranks the branching points of greedy solutions and says what they have in common; intervals over problems.

    Args:
        rank_layer: Which of the stored layers ranks the points, counted from 0 (-1: the last).
        shown_solutions: Solutions drawn with their tokens, the ones with the farthest points.
        listed_points: Points in the report's table.
    """

    rank_layer: int
    shown_solutions: int
    listed_points: int

    reads: ClassVar[Reads] = READS
    result_type: ClassVar[type] = PathResult

    def check(self) -> None:
        """Raises UserError for numbers that are too small."""
        at_least(1, listed_points=self.listed_points)
        at_least(0, shown_solutions=self.shown_solutions)

    def check_data(self, data: Opened) -> None:
        """Raises UserError for a layer that is not stored."""
        layers = layer_names(data.store)
        if not -len(layers) <= self.rank_layer < len(layers):
            raise UserError(
                f"rank_layer {self.rank_layer} is none of the {len(layers)} stored ({layers[0]} to {layers[-1]})."
            )

    def result(self, data: Opened) -> PathResult:
        """Reads all points, checks their answers, and takes means and shares over them."""
        layers = layer_names(data.store)
        layer = self.rank_layer % len(layers)
        points = read_points(data.store, layer)
        measured = [p for p in points if p.rank is not None]
        comparable = [p for p in measured if p.answer_changed is not None]
        middle = np.median([p.relative_distance for p in comparable]) if comparable else np.nan
        return PathResult(
            interval_level=LEVEL,
            ranked_by=layers[layer],
            layers=layers,
            problems=len(data.store),
            interval=data.setting("bifurcation_step_interval"),
            lookahead=data.setting("lookahead_tokens"),
            windows=_windows(points),
            points=len(points),
            points_with_distance=len(measured),
            points_past_special_tokens=sum(p.second_rank > 2 for p in points),
            by_layer=self._by_layer(points, len(layers)),
            spearman_with_distance={
                "logit_difference": self._correlation(measured, lambda p: p.logit_difference),
                "place_in_solution": self._correlation(measured, lambda p: p.position / p.solution_tokens),
            },
            other_text=self._share(points, lambda p: p.differs_at is not None),
            merged=self._share(points, lambda p: p.merged_at is not None),
            answer_changed=self._share(points, lambda p: p.answer_changed),
            answer_changed_far=self._changed([p for p in comparable if p.relative_distance > middle]),
            answer_changed_near=self._changed([p for p in comparable if not p.relative_distance > middle]),
            spoiled=self._share(points, _spoiled),
            mended=self._share(points, lambda p: p.branch_correct if p.baseline_correct is False else None),
            solved=len({p.problem_id for p in points if p.baseline_correct}),
            branching_points=points,
        )

    def write(self, result: PathResult, data: Opened) -> None:
        """Writes bifurcation_points.json."""
        origin = {"experiment": EXPERIMENT, "store": str(data.run / "store"), "ranked_by": result.ranked_by}
        write_points(data.out / FILE, result.branching_points, origin | {"layers": result.layers})

    def page(self, result: PathResult, data: Opened) -> Page:
        """The farthest points, what branches do, single solutions."""
        return path_page(result, self.shown_solutions, self.listed_points, is_demonstration(data.store))

    def _by_layer(self, points: Sequence[Point], layers: int) -> list[Estimate]:
        boot = self.resampler([p.problem_id for p in points])
        return [estimate(boot.mean([p.by_layer[layer] for p in points])) for layer in range(layers)]

    def _correlation(self, points: Sequence[Point], value: Callable[[Point], float]) -> Estimate:
        """Spearman's rank correlation of D with a value."""
        distance, values = np.array([p.relative_distance for p in points]), np.array([value(p) for p in points])

        def weighted(weights: Floats) -> float:
            return float(spearman(distance, values, weights))

        return self.resampler([p.problem_id for p in points]).from_rows(weighted)

    def _share(self, points: Sequence[Point], holds: Callable[[Point], bool | None]) -> Estimate:
        """The share of points of which something holds, among those where that can be said (not None)."""
        values = [np.nan if (known := holds(p)) is None else float(known) for p in points]
        return estimate(self.resampler([p.problem_id for p in points]).mean(values, SHARE))

    def _changed(self, points: Sequence[Point]) -> Estimate:
        return self._share(points, lambda p: p.answer_changed)


def _spoiled(point: Point) -> bool | None:
    """Whether the branch of a correct solution is wrong."""
    return None if not point.baseline_correct or point.branch_correct is None else not point.branch_correct


def _windows(points: Sequence[Point]) -> list[WindowCount]:
    """How many points were compared over which window with which stride."""
    kinds = sorted({(p.window, p.stride) for p in points}, reverse=True)
    return [
        WindowCount(tokens, stride, sum((p.window, p.stride) == (tokens, stride) for p in points))
        for tokens, stride in kinds
    ]
