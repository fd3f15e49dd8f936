"""How far sampling spreads the latents of one prompt: over temperatures, layers and lengths.

    lit-experiments analyze --exp sampling_variance --run runs/sampling_variance

Var = trace of the covariance (ddof 1) of a prompt's latents; also over their mean squared length, and the effective
dimension. Means over prompts with bootstrap intervals. Writes sampling_variance.json, figures and a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.experiments.geometry.runs import identity, open_run, setting
from lit_experiments.experiments.geometry.variance_measures import (
    MEASURES,
    Spreads,
    growth,
    measure,
    over_problems,
    peak,
    verdict,
)
from lit_experiments.experiments.geometry.variance_report import write_report
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from lit_experiments.statistics import GroupBootstrap
from stores import Store

LEVEL = 0.95


class SamplingVariance:
    """Reads a sampling_variance store; writes metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = "sampling_variance"

    def __init__(self, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            bootstraps: Resamples of the bootstrap over problems.
            seed: Seed of the bootstrap.
        """
        at_least(1, bootstraps=bootstraps)
        seeds(seed=seed)
        self.bootstraps, self.seed = bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from. Raises UserError for a run of another experiment."""
        return identity(open_run(run, self.reads, "latents"), dict(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_run(run, self.reads, "latents")
        spreads = measure(store)
        boot = GroupBootstrap(spreads.problems, resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        result = self._result(store, spreads, boot)
        text = write_report(out, result, store)
        write_json(out / "sampling_variance.json", {**result, "per_problem": _per_problem(spreads)})
        return text

    def _result(self, store: Store, spreads: Spreads, boot: GroupBootstrap) -> dict[str, Any]:
        result: dict[str, Any] = {
            "interval_level": LEVEL,
            "problems": len(spreads.problems),
            "temperatures": spreads.temperatures,
            "layers": [str(name) for name in store.schema.coords["layer"]],
            "checkpoints": [int(c) for c in store.schema.coords["checkpoint"]],
            "stride": setting(store, "latent_sampling_stride"),
        }
        result |= over_problems(spreads, boot)
        result["growth"] = growth(spreads, boot)
        result["reached"], result["sampled"] = spreads.reached.sum(0), spreads.sampled.sum(0)
        result["problems_with_variance"] = (spreads.reached >= 2).sum(0)
        result["longest"] = [_longest(each) for each in result["problems_with_variance"]]
        result["peaks"] = [self._peaks(spreads, boot, t, c) for t, c in enumerate(result["longest"])]
        result["trend"] = [
            [[verdict(ratio) for ratio in layer[1:]] for layer in temperature] for temperature in result["growth"]
        ]
        return result

    def _peaks(self, spreads: Spreads, boot: GroupBootstrap, temperature: int, checkpoint: int) -> dict[str, Any]:
        """Where over depth the variance is largest, raw and normalised, at one checkpoint."""
        return {
            name: peak(spreads.values[name][:, temperature, :, checkpoint], boot) for name in ("variance", "normalised")
        }


def _longest(with_variance: np.ndarray) -> int:
    """The last checkpoint at which at least half of the problems that have a variance at all still have one."""
    enough = np.flatnonzero((with_variance > 0) & (with_variance >= with_variance.max() / 2))
    return int(enough[-1]) if len(enough) else 0


def _per_problem(spreads: Spreads) -> dict[str, Any]:
    """[problem, temperature, layer, checkpoint] of each measure, and how many completions reached each checkpoint."""
    values = {name: spreads.values[name] for name in MEASURES}
    return {"problem_id": spreads.problems, **values, "reached": spreads.reached}
