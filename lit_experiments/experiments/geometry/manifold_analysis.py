"""How far does a model's own sampling lie from an oracle solution, and does a beginning by the oracle keep it there?

Distances of completions' latents to their problem's oracle, of right and wrong ones apart, beside distances to other
problems' oracles; how the distance grows, window by window, after a forced beginning by the oracle has ended, beside
free completions at the same places.

    lit-experiments analyze --exp manifold --run runs/manifold

Writes manifold.json, figures and a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.geometry.answers import CORRECT, INCORRECT, NO_ANSWER
from lit_experiments.experiments.geometry.manifold_measures import (
    Distances,
    measure,
    per_problem,
    repeats,
    slopes,
)
from lit_experiments.experiments.geometry.manifold_report import write_report
from lit_experiments.experiments.geometry.runs import identity, open_run, setting
from lit_experiments.experiments.geometry.solved import (
    LEVEL,
    Floats,
    Resampling,
    checked_rows,
    chosen_sites,
    verdict_table,
)
from lit_experiments.plain import plain, write_json
from lit_experiments.statistics import Estimate

CLASSES = ("all", "correct", "incorrect")


class ManifoldAnalysis:
    """Reads a manifold run; writes distances, drift, figures and a report into its results folder."""

    reads: ClassVar[str] = "manifold"

    def __init__(self, shown_layer: int | None, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            shown_layer: Block at which drift and the sweep are shown; null takes the middle one stored. All layers are
                measured.
            bootstraps: Resamples of the bootstrap over problems.
            seed: Seed of the bootstrap.
        """
        self.shown_layer, self.resampling = shown_layer, Resampling(bootstraps, seed)

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from. Raises UserError for a run of another experiment."""
        return identity(open_run(run, self.reads, "oracle_latent"), plain(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_run(run, self.reads, "oracle_latent")
        layers = None if self.shown_layer is None else [self.shown_layer]
        [(shown, _)] = chosen_sites(store, layers, "--shown_layer")
        rows = checked_rows(store)
        swept = [float(share) for share in setting(store, "oracle_percentage")]
        free = measure(store, rows, 0.0, len(swept))
        forced = [measure(store, rows, share, 1) for share in swept]
        result: dict[str, Any] = {
            "interval_level": LEVEL,
            "layers": [str(name) for name in store.schema.coords["layer"]],
            "shown": shown,
            "stride": setting(store, "latent_sampling_stride"),
            "window_tokens": setting(store, "drift_window_tokens"),
            "verdicts": verdict_table(rows),
            "shares": [self._share(each, rows) for each in (free, *forced) if each is not None],
            "drift": [self._drift(each, free, at) for at, each in enumerate(forced) if each is not None],
        }
        text = write_report(out, result, store)
        write_json(out / "manifold.json", result)
        return text

    def _share(self, found: Distances, rows: Any) -> dict[str, Any]:
        """Distances of one forced share: by class of completion and layer."""
        same, total = repeats(rows, found.share)
        own_rows = rows[rows["forced_share"] == found.share]
        classes = {name: _of_class(found, name) for name in CLASSES}
        own = {name: per_problem(found.own, chosen) for name, chosen in classes.items()}
        other = per_problem(found.other, classes["all"])
        return {
            "share": found.share,
            "problems": len(found.problems),
            "forced_tokens": float(found.forced.mean()),
            "verdicts": verdict_table(own_rows),
            "without_latent": int(np.isnan(found.own[..., 0]).sum()),
            "repeat_the_oracle": [same, total],
            "own": {name: self._by_layer(values) for name, values in own.items()},
            "other": self._by_layer(other),
            "relative": {name: self._by_layer(values / other) for name, values in own.items()},
            "correct_less_incorrect": self._by_layer((own["correct"] - own["incorrect"]) / other),
            "nearest": self._by_layer(per_problem(found.nearest, classes["all"])),
        }

    def _drift(self, forced: Distances, free: Distances | None, at: int) -> dict[str, Any]:
        """Distances to the oracle by window behind one prefix, over the mean distance to other oracles."""
        scale = per_problem(forced.other, _of_class(forced, "all"))[:, None]  # [problem, 1, layer]
        curves = {f"forced, {name}": per_problem(forced.windows[:, 0], _of_class(forced, name)) for name in CLASSES}
        if free is not None:
            curves["free"] = _aligned(per_problem(free.windows[:, at], _of_class(free, "all")), free, forced)
        relative = {name: values / scale for name, values in curves.items()}
        return {
            "share": forced.share,
            "windows": forced.windows.shape[3],
            "curves": {name: [self._by_layer(w) for w in values.swapaxes(0, 1)] for name, values in relative.items()},
            "growth": {name: self._by_layer(slopes(values)) for name, values in relative.items()},
        }

    def _by_layer(self, values: Floats) -> list[Estimate]:
        """One estimate per layer of values [problem, layer]."""
        return [self.resampling.mean(values[:, layer]) for layer in range(values.shape[1])]


def _of_class(found: Distances, name: str) -> NDArray[np.bool_]:
    """[problem, completion]; completions without an answer are incorrect, undecided ones neither."""
    if name == "correct":
        return found.verdict == CORRECT
    if name == "incorrect":
        return np.isin(found.verdict, (INCORRECT, NO_ANSWER))
    return np.ones(found.verdict.shape, bool)


def _aligned(values: Floats, found: Distances, wanted: Distances) -> Floats:
    """Rows of `found` in the order of `wanted`; NaN for problems that `found` does not hold."""
    place = {problem: at for at, problem in enumerate(found.problems)}
    out = np.full((len(wanted.problems), *values.shape[1:]), np.nan)
    for at, problem in enumerate(wanted.problems):
        if problem in place:
            out[at] = values[place[problem]]
    return out
