"""Internal against surface: do hidden states tell more of a question than what it looks like?

For every target, pass and layer, on the same held-out questions: the model of the surface alone, a ridge on the hidden
states alone, and the surface with what the states tell of the rest; differences with paired intervals, the surface
features that carry most, and the verdict on the claim, as the training judged it. Works from what `train --exp
introspection_probes` left; fits nothing. Classes enter all three as 0 and 1, so that they differ in their inputs alone.

    lit-experiments analyze --exp introspection_surface --run runs/introspection
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lit_experiments.experiments.introspection.probe_data import SURFACE
from lit_experiments.experiments.introspection.probe_files import ProbeAnalysis, ProbeFiles, read_probe_files
from lit_experiments.experiments.introspection.probes_result import ControlScore, ProbedPair, verdict_words
from lit_experiments.experiments.introspection.surface_control.page import surface_page
from lit_experiments.experiments.introspection.surface_control.result import (
    ChosenScores,
    LayerScores,
    SurfacePair,
    SurfaceResult,
)
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened


@dataclass(frozen=True, kw_only=True)
class IntrospectionSurface(ProbeAnalysis[SurfaceResult]):
    """Scores of hidden states next to those of surface features, from a run's probes; intervals over test questions."""

    result_type: ClassVar[type] = SurfaceResult

    def result(self, data: Opened) -> SurfaceResult:
        """Compares the held-out predictions of every pair that has surface features to be compared with."""
        files = read_probe_files(data.run, data.store)
        probed = files.result
        compared = [(pair, pair.controls.surface) for pair in probed.pairs if pair.controls.surface is not None]
        return SurfaceResult(
            layers=probed.layers,
            questions=probed.questions,
            interval_level=LEVEL,
            statements=probed.statements,
            pairs=[self._pair(files, pair, control) for pair, control in compared],
            weights={pair.target: feature_weights(control) for pair, control in compared if control.weights},
        )

    def page(self, result: SurfaceResult, data: Opened) -> Page:
        """Verdicts, and the scores behind them."""
        return surface_page(result, is_demonstration(data.store))

    def _pair(self, files: ProbeFiles, pair: ProbedPair, control: ControlScore) -> SurfacePair:
        scorer = self.scorer(files, pair)
        surface, hidden, both = (files.of(pair, role) for role in (SURFACE, "linear", f"{SURFACE}_hidden"))
        of_surface = scorer.estimates(surface)[0]
        columns = {
            "hidden": scorer.estimates(hidden),
            "both": scorer.estimates(both),
            "hidden_less_surface": scorer.gains(hidden, surface),
            "both_less_surface": scorer.gains(both, surface),
            "both_less_hidden": scorer.gains(both, hidden),
        }
        by_layer = [
            LayerScores(layer=layer, **dict(zip(columns, scores, strict=True)))
            for layer, *scores in zip(files.layers, *columns.values(), strict=True)
        ]
        h, b = files.layers.index(pair.linear_layer), files.layers.index(control.layer)
        chosen = ChosenScores(
            hidden_layer=pair.linear_layer,
            both_layer=control.layer,
            hidden=by_layer[h].hidden,
            both=by_layer[b].both,
            hidden_less_surface=by_layer[h].hidden_less_surface,
            both_less_surface=by_layer[b].both_less_surface,
            both_less_hidden=scorer.gains(both[:, [b]], hidden[:, [h]])[0],
        )
        word = verdict_words(files.result)[pair.states, pair.target]
        return SurfacePair(pair.states, pair.target, pair.score, pair.chance, of_surface, chosen, by_layer, word)


def feature_weights(control: ControlScore) -> dict[str, float]:
    """Surface feature -> weight for inputs of unit spread, largest first; of several classes the root mean square."""
    weights = np.asarray(control.weights, np.float64)
    size = weights[:, 0] if weights.shape[1] == 1 else np.sqrt((weights**2).mean(1))
    order = np.argsort(-np.abs(size), kind="stable")
    return {control.features[feature]: float(size[feature]) for feature in order}
