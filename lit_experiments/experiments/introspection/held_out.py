"""What the fits on one pass's states predict of the test questions, by layer. Does not know: what that is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.probe_data import Control, Fitted, Questions, shuffled
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.experiments.introspection.scoring import Scorer
from lit_experiments.probes.by_layer import classes_by_layer
from lit_experiments.probes.solve import Solution
from lit_experiments.statistics import GroupBootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """A probe's held-out predictions [test question, layer, C], its chosen layer, each layer's penalty."""

    predicted: Floats
    layer: int
    penalty: list[float]


@dataclass(frozen=True)
class HeldOut:
    """The held-out predictions of everything fitted on one pass's states: ridge [test question, layer, column], and
    per target with classes [test question, layer, class] log-probabilities."""

    fitted: Fitted
    ridge: Floats
    classes: dict[str, Floats]

    @classmethod
    def of(cls, fitted: Fitted) -> HeldOut:
        ridge = np.zeros(0) if fitted.ridge is None else fitted.ridge.predicted
        return cls(fitted, ridge, {key: classes_by_layer(*fit)[:, :, 0] for key, fit in fitted.classes.items()})

    @property
    def solution(self) -> Solution:
        assert self.fitted.ridge is not None, "needed for targets that are numbers"
        return self.fitted.ridge.solution

    def probe(self, target: Target) -> Probe:
        """The probe of a target: logistic for classes, else a ridge."""
        if target.classes:
            classes, _ = self.fitted.classes[target.key]
            penalty = classes.penalties[classes.penalty_index[:, 0]].tolist()
            return Probe(self.classes[target.key], int(classes.layer_index[0]), penalty)
        columns, solution = self.fitted.columns.places[target.key, "hidden"], self.solution
        penalty = solution.penalties[solution.penalty_index[:, columns[0]]].tolist()
        return Probe(self.ridge[:, :, columns], int(solution.layer_index[columns[0]]), penalty)

    def linear(
        self, target: Target, controls: dict[str, Control], questions: Questions
    ) -> tuple[dict[str, Floats], dict[str, int]]:
        """By ridge on the target, or on the 0/1 columns of its classes: the states alone (`linear`), each control
        alone, and the control with what the states tell of the rest (`surface_hidden`); and the layers chosen."""
        columns = self.fitted.columns.places
        hidden = columns[target.key, "hidden"]
        arrays, chosen = {"linear": self.ridge[:, :, hidden]}, {"linear": self._layer_of(hidden)}
        for name, control in controls.items():
            rest, alone = columns[target.key, name], control.predicted[questions.test][:, None, :]
            arrays |= {name: alone, f"{name}_hidden": alone + self.ridge[:, :, rest]}
            chosen[f"{name}_hidden"] = self._layer_of(rest)
        return arrays, chosen

    def shuffled(
        self, target: Target, questions: Questions, boot: GroupBootstrap, seed: int
    ) -> tuple[Floats, list[float]]:
        """[S, L] scores of the ridges retrained on shuffled targets, against these; each one's at its chosen layer."""
        places, known = self.fitted.columns.places, ~np.isnan(target.values[questions.test])
        roles = [role for key, role in places if key == target.key and role.startswith("shuffle")]
        scores, chosen = np.zeros((len(roles), self.ridge.shape[1])), []
        for k, role in enumerate(roles):
            columns = places[target.key, role]
            true = shuffled(target, seed, k, questions.split.group).values[questions.test][known]
            scores[k] = Scorer(target.score, true, boot).value(self.ridge[known][:, :, columns])
            chosen.append(float(scores[k, self._layer_of(columns)]))
        return scores, chosen

    def _layer_of(self, columns: list[int]) -> int:
        """The layer with the least cross-validated error of these columns together."""
        error = self.solution.cv_mse.mean(1)
        picked = error.gather(1, self.solution.penalty_index[:, None, :])[:, 0]
        return int(picked[:, columns].sum(1).argmin())
