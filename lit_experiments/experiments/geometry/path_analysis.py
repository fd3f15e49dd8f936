"""Where along a solution does the second most likely token lead far away, and does it change the answer?

    lit-experiments analyze --exp path_sensitivity --run runs/path_sensitivity

Writes bifurcation_points.json (all points, farthest first), path_sensitivity.json, figures and a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.path_points import EXPERIMENT, FILE, Point, read_points, write_points
from lit_experiments.experiments.geometry.path_report import write_report
from lit_experiments.experiments.geometry.runs import identity, open_run, setting
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from lit_experiments.statistics import Estimate, GroupBootstrap, spearman
from lit_experiments.statistics.bootstrap import SHARE, Range

LEVEL = 0.95


class PathSensitivity:
    """Reads a path_sensitivity store; ranks its branching points and says what they have in common."""

    reads: ClassVar[str] = EXPERIMENT

    def __init__(self, rank_layer: int, shown_solutions: int, listed_points: int, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            rank_layer: Which of the stored layers ranks the points, counted from 0 (-1: the last).
            shown_solutions: Solutions drawn with their tokens, the ones with the farthest points.
            listed_points: Points in the report's table.
            bootstraps: Resamples of the bootstrap over problems.
            seed: Seed of the bootstrap.
        """
        at_least(1, listed_points=listed_points, bootstraps=bootstraps)
        at_least(0, shown_solutions=shown_solutions)
        seeds(seed=seed)
        self.rank_layer, self.shown_solutions, self.listed_points = rank_layer, shown_solutions, listed_points
        self.bootstraps, self.seed = bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from. Raises UserError for a run of another experiment."""
        return identity(open_run(run, self.reads, "relative_distance"), dict(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_run(run, self.reads, "relative_distance")
        layers = [str(name) for name in store.schema.coords["layer"]]
        layer = self._layer(layers)
        points = read_points(store, layer)
        result = {
            "interval_level": LEVEL,
            "ranked_by": layers[layer],
            "layers": layers,
            "problems": len(store),
            "interval": setting(store, "bifurcation_step_interval"),
            "lookahead": setting(store, "lookahead_tokens"),
            "windows": _windows(points),
            **self._summary(points, layers),
        }
        about = {"experiment": EXPERIMENT, "store": str(run / "store"), "ranked_by": layers[layer], "layers": layers}
        write_points(out / FILE, points, about)
        write_json(out / "path_sensitivity.json", result)
        return write_report(out, result, points, store, self.shown_solutions, self.listed_points)

    def _layer(self, layers: Sequence[str]) -> int:
        if not -len(layers) <= self.rank_layer < len(layers):
            raise UserError(
                f"rank_layer {self.rank_layer} is none of the {len(layers)} stored ({layers[0]} to {layers[-1]})."
            )
        return self.rank_layer % len(layers)

    def _summary(self, points: Sequence[Point], layers: Sequence[str]) -> dict[str, Any]:
        """Means and shares over points, with intervals over problems."""
        boot = GroupBootstrap([p.problem_id for p in points], resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        told = [p for p in points if p.rank is not None]
        ranked = GroupBootstrap([p.problem_id for p in told], resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        distance = np.array([p.relative_distance for p in told])
        related: dict[str, Callable[[Point], float]] = {
            "logit_difference": lambda p: p.logit_difference,
            "place_in_solution": lambda p: p.position / p.solution_tokens,
        }
        changed = [p for p in told if p.answer_changed is not None]
        return {
            "points": len(points),
            "points_with_distance": len(told),
            "points_past_special_tokens": sum(p.second_rank > 2 for p in points),
            "by_layer": [_mean(boot, [p.by_layer[k] for p in points]) for k in range(len(layers))],
            "spearman_with_distance": {
                name: ranked.from_rows(_rank_correlation(distance, np.array([value(p) for p in told])))
                for name, value in related.items()
            },
            "other_text": _mean(boot, [float(p.differs_at is not None) for p in points], SHARE),
            "merged": _mean(boot, [float(p.merged_at is not None) for p in points], SHARE),
            "answer_changed": _mean(boot, [_number(p.answer_changed) for p in points], SHARE),
            "answer_changed_far": _mean(*self._half(changed, far=True), SHARE),
            "answer_changed_near": _mean(*self._half(changed, far=False), SHARE),
            "spoiled": _mean(
                boot, [_number(_not(p.branch_correct)) if p.baseline_correct else np.nan for p in points], SHARE
            ),
            "mended": _mean(
                boot, [_number(p.branch_correct) if p.baseline_correct is False else np.nan for p in points], SHARE
            ),
            "solved": _solved(points),
        }

    def _half(self, points: Sequence[Point], far: bool) -> tuple[GroupBootstrap, list[float]]:
        """Whether answers changed, for the points farther than the median or the others."""
        middle = np.median([p.relative_distance for p in points]) if points else np.nan
        half = [p for p in points if (p.relative_distance > middle) == far]
        boot = GroupBootstrap([p.problem_id for p in half], resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        return boot, [_number(p.answer_changed) for p in half]


def _mean(boot: GroupBootstrap, values: Sequence[float], within: Range | None = None) -> Estimate:
    """The mean of those that are numbers; within: their range, where they have one."""
    rows = np.asarray(values, np.float64)
    there = ~np.isnan(rows)
    sums = boot.sums(np.stack([np.where(there, rows, 0), there], axis=-1))
    found: Estimate = boot.from_sums(sums, _ratio, within).item()
    return found


def _ratio(sums: np.ndarray) -> np.ndarray:
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] > 0)


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda weights: float(spearman(x, y, weights))


def _number(value: bool | None) -> float:
    return np.nan if value is None else float(value)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _solved(points: Sequence[Point]) -> int:
    """Problems whose baseline is correct."""
    return len({p.problem_id for p in points if p.baseline_correct})


def _windows(points: Sequence[Point]) -> list[dict[str, int]]:
    """How many points were compared over which window with which stride."""
    kinds = sorted({(p.window, p.stride) for p in points}, reverse=True)
    return [{"tokens": w, "stride": s, "points": sum((p.window, p.stride) == (w, s) for p in points)} for w, s in kinds]
