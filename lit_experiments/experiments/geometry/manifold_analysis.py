"""How far does a model's own sampling lie from an oracle solution, and does a beginning by the oracle keep it there?

Distances of completions' latents to their problem's oracle, of right and wrong ones apart, next to distances to other
problems' oracles; how the distance grows, window by window, after a forced beginning by the oracle has ended, next to
free completions at the same places.

    lit-experiments analyze --exp manifold --run runs/manifold
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.geometry.answers import CORRECT, INCORRECT, NO_ANSWER
from lit_experiments.experiments.geometry.averages import Floats, problem_mean
from lit_experiments.experiments.geometry.checked_completions import checked_rows, verdict_counts
from lit_experiments.experiments.geometry.manifold_measures import Distances, measure, per_problem, repeats, slopes
from lit_experiments.experiments.geometry.manifold_page import manifold_page
from lit_experiments.experiments.geometry.manifold_result import ByLayer, Drift, ManifoldResult, ShareDistances
from lit_experiments.experiments.geometry.stored_layers import layer_names, stored_layers
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL
from lit_experiments.statistics.intervals import PLAIN, SIZE, Scale
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened

CLASSES = ("all", "correct", "incorrect")


@dataclass(frozen=True, kw_only=True)
class ManifoldAnalysis(AnalyzeTask[ManifoldResult]):
    """Distances of completions to oracle solutions, and drift behind a forced beginning; intervals over problems.

    Args:
        shown_layer: Block at which drift and the sweep are shown; null takes the middle one stored. All layers are
            measured.
    """

    shown_layer: int | None

    reads: ClassVar[Reads] = Reads("manifold", ("oracle_latent", "forced_share", "window_latents"))
    result_type: ClassVar[type] = ManifoldResult

    def check_data(self, data: Opened) -> None:
        """Raises UserError for a block that is not stored."""
        self._shown(data)

    def result(self, data: Opened) -> ManifoldResult:
        """Measures all distances, and averages them over problems."""
        rows = checked_rows(data.store)
        swept = [float(share) for share in data.setting("oracle_percentage")]
        free = measure(data.store, rows, 0.0, len(swept))
        forced = [measure(data.store, rows, share, 1) for share in swept]
        return ManifoldResult(
            interval_level=LEVEL,
            layers=layer_names(data.store),
            shown=self._shown(data),
            stride=data.setting("latent_sampling_stride"),
            window_tokens=data.setting("drift_window_tokens"),
            verdicts=verdict_counts(rows),
            shares=[self._share(distances, rows) for distances in (free, *forced) if distances is not None],
            drift=[self._drift(behind, free, k) for k, behind in enumerate(forced) if behind is not None],
        )

    def page(self, result: ManifoldResult, data: Opened) -> Page:
        """What came out, over layers, shares and windows."""
        return manifold_page(result, is_demonstration(data.store))

    def _shown(self, data: Opened) -> int:
        layers = None if self.shown_layer is None else [self.shown_layer]
        return stored_layers(data.store, layers, "--shown_layer")[0]

    def _share(self, distances: Distances, rows: pd.DataFrame) -> ShareDistances:
        """Distances of one forced share: by class of completion and layer."""
        means = {name: per_problem(distances.to_oracle, _of_class(distances, name)) for name in CLASSES}
        everything = _of_class(distances, "all")
        other = per_problem(distances.to_others, everything)
        return ShareDistances(
            share=distances.share,
            problems=len(distances.problems),
            forced_tokens=float(distances.forced.mean()),
            verdicts=verdict_counts(rows[rows["forced_share"] == distances.share]),
            without_latent=int(np.isnan(distances.to_oracle[..., 0]).sum()),
            repeat_the_oracle=repeats(rows, distances.share),
            own={name: self._by_layer(values, SIZE) for name, values in means.items()},
            other=self._by_layer(other, SIZE),
            relative={name: self._by_layer(values / other, SIZE) for name, values in means.items()},
            correct_less_incorrect=self._by_layer((means["correct"] - means["incorrect"]) / other),
            nearest=self._by_layer(per_problem(distances.nearest, everything)),
        )

    def _drift(self, forced: Distances, free: Distances | None, prefix: int) -> Drift:
        """Distances to the oracle by window behind one prefix, over the mean distance to other oracles."""
        scale = per_problem(forced.to_others, _of_class(forced, "all"))[:, None]  # [problem, 1, layer]
        curves = {f"forced, {name}": per_problem(forced.windows[:, 0], _of_class(forced, name)) for name in CLASSES}
        if free is not None:
            curves["free"] = _aligned(per_problem(free.windows[:, prefix], _of_class(free, "all")), free, forced)
        relative = {name: values / scale for name, values in curves.items()}
        return Drift(
            share=forced.share,
            windows=forced.windows.shape[3],
            curves={
                name: [self._by_layer(w, SIZE) for w in values.swapaxes(0, 1)] for name, values in relative.items()
            },
            growth={name: self._by_layer(slopes(values)) for name, values in relative.items()},
        )

    def _by_layer(self, values: Floats, within: Scale = PLAIN) -> ByLayer:
        """One estimate per layer of values [problem, layer]; within: where these lie."""
        return [problem_mean(values[:, layer], self.resampler, within) for layer in range(values.shape[1])]


def _of_class(distances: Distances, name: str) -> NDArray[np.bool_]:
    """[problem, completion]; completions without an answer are incorrect, undecided ones neither."""
    if name == "correct":
        return distances.verdict == CORRECT
    if name == "incorrect":
        return np.isin(distances.verdict, (INCORRECT, NO_ANSWER))
    return np.ones(distances.verdict.shape, bool)


def _aligned(values: Floats, source: Distances, target: Distances) -> Floats:
    """Rows of `source` in the order of `target`; NaN for problems that `source` does not hold."""
    places = {problem: place for place, problem in enumerate(source.problems)}
    out = np.full((len(target.problems), *values.shape[1:]), np.nan)
    for row, problem in enumerate(target.problems):
        if problem in places:
            out[row] = values[places[problem]]
    return out
