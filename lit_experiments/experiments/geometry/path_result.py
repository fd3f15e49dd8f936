"""What the analysis of the path sensitivity finds."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.geometry.path_points import Point
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class WindowCount:
    """How many points were compared over a window of so many tokens, every `stride`th counted; 0: not compared."""

    tokens: int
    stride: int
    points: int


@dataclass(frozen=True)
class PathResult:
    """Branching points summed up; intervals over problems.

    ranked_by: the layer that D is taken at; interval, lookahead: of the collection, in tokens; solved: problems whose
    greedy solution is correct; points_past_special_tokens: where a likelier second choice was passed over.
    by_layer: mean D; spearman_with_distance: rank correlation of D with the logit difference and with the place in the
    solution.
    Shares of branches: other_text, merged, answer_changed, of those farther (`_far`) and not farther (`_near`) than the
    median D; spoiled: of correct solutions; mended: of wrong ones.
    branching_points: all of them, in the store's order.
    """

    interval_level: float
    ranked_by: str
    layers: list[str]
    problems: int
    interval: int
    lookahead: int
    windows: list[WindowCount]
    points: int
    points_with_distance: int
    points_past_special_tokens: int
    by_layer: list[Estimate]
    spearman_with_distance: dict[str, Estimate]
    other_text: Estimate
    merged: Estimate
    answer_changed: Estimate
    answer_changed_far: Estimate
    answer_changed_near: Estimate
    spoiled: Estimate
    mended: Estimate
    solved: int
    branching_points: list[Point]

    @property
    def ranked(self) -> list[Point]:
        """The points that have a distance, farthest first."""
        return sorted((p for p in self.branching_points if p.rank is not None), key=lambda p: p.rank or 0)
