"""How far sampling spreads the latents of one prompt: over temperatures, layers and lengths.

    lit-experiments analyze --exp sampling_variance --run runs/sampling_variance

Var = trace of the covariance (ddof 1) of a prompt's latents; also over their mean squared length, and the effective
dimension. Means over prompts with intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lit_experiments.experiments.geometry.variance_measures import (
    Spreads,
    growth,
    measure,
    over_problems,
    peak,
    verdict,
)
from lit_experiments.experiments.geometry.variance_page import variance_page
from lit_experiments.experiments.geometry.variance_result import Peaks, PerProblem, VarianceResult
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL, GroupBootstrap
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened


@dataclass(frozen=True, kw_only=True)
class SamplingVariance(AnalyzeTask[VarianceResult]):
    """Spread of sampled latents over temperatures, layers and lengths; intervals over problems."""

    reads: ClassVar[Reads] = Reads("sampling_variance", ("latents", "problem_id", "temperature"))
    result_type: ClassVar[type] = VarianceResult

    def result(self, data: Opened) -> VarianceResult:
        """Measures every problem's latents and averages over problems."""
        spreads = measure(data.store)
        boot = self.resampler(spreads.problems)
        means, grown = over_problems(spreads, boot), growth(spreads, boot)
        with_variance = (spreads.reached >= 2).sum(0)
        longest = [_longest(counts) for counts in with_variance]
        return VarianceResult(
            interval_level=LEVEL,
            problems=len(spreads.problems),
            temperatures=spreads.temperatures,
            layers=[str(name) for name in data.store.schema.coords["layer"]],
            checkpoints=[int(length) for length in data.store.schema.coords["checkpoint"]],
            stride=data.setting("latent_sampling_stride"),
            **{name: estimates.tolist() for name, estimates in means.items()},
            growth=grown.tolist(),
            reached=spreads.reached.sum(0).tolist(),
            sampled=spreads.sampled.sum(0).tolist(),
            problems_with_variance=with_variance.tolist(),
            longest=longest,
            peaks=[_peaks(spreads, boot, t, c) for t, c in enumerate(longest)],
            trend=[[[verdict(ratio) for ratio in layer[1:]] for layer in temperature] for temperature in grown],
            per_problem=_per_problem(spreads),
        )

    def page(self, result: VarianceResult, data: Opened) -> Page:
        """What came out, over layers and lengths."""
        return variance_page(result, is_demonstration(data.store))


def _peaks(spreads: Spreads, boot: GroupBootstrap, temperature: int, checkpoint: int) -> Peaks:
    values = {name: spreads.values[name][:, temperature, :, checkpoint] for name in ("variance", "normalised")}
    return Peaks(**{name: peak(of_layers, boot) for name, of_layers in values.items()})


def _longest(with_variance: np.ndarray) -> int:
    """The last checkpoint at which at least half of the problems that have a variance at all still have one."""
    enough = np.flatnonzero((with_variance > 0) & (with_variance >= with_variance.max() / 2))
    return int(enough[-1]) if len(enough) else 0


def _per_problem(spreads: Spreads) -> PerProblem:
    values = {name: of_problems.tolist() for name, of_problems in spreads.values.items()}
    return PerProblem(problem_id=spreads.problems, **values, reached=spreads.reached.tolist())
