"""What the analysis of the sampling variance finds. Shapes: P problems, T temperatures, L layers, C checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.statistics import Estimate

Estimates = list[list[list[Estimate]]]
Numbers = list[list[list[list[float]]]]


@dataclass(frozen=True)
class Peaks:
    """Index of the layer with the largest mean at the longest length, with its interval over resampled problems."""

    variance: Estimate
    normalised: Estimate


@dataclass(frozen=True)
class PerProblem:
    """[P, T, L, C] of each measure; reached: [P, T, C] completions that reached each length."""

    problem_id: list[str]
    variance: Numbers
    normalised: Numbers
    dimension: Numbers
    reached: list[list[list[int]]]


@dataclass(frozen=True)
class VarianceResult:
    """Spread of sampled latents.

    checkpoints: lengths in generated tokens; stride: every how many tokens a state is counted.
    variance, normalised, dimension: [T, L, C] means over problems (see `statistics.spread`); growth: variance over that
    at the checkpoint before, of the same completions; trend: [T, L, C - 1] the same in words.
    reached: [T, C] completions; sampled: [T]; problems_with_variance: [T, C] with at least two that reached it.
    longest: [T] index of the last checkpoint that half of the problems with a variance reached; peaks: [T], there.
    """

    interval_level: float
    problems: int
    temperatures: list[float]
    layers: list[str]
    checkpoints: list[int]
    stride: int
    variance: Estimates
    normalised: Estimates
    dimension: Estimates
    growth: Estimates
    reached: list[list[int]]
    sampled: list[int]
    problems_with_variance: list[list[int]]
    longest: list[int]
    peaks: list[Peaks]
    trend: list[list[list[str]]]
    per_problem: PerProblem
