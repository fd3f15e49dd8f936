"""What the fits of one target are worth: curves, scores, controls, on its test rows.

Owns: which field and layer are chosen, and everything that is compared with them. Does not know: fitting, files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from lit_experiments.controls.baselines import Baseline, columns_of
from lit_experiments.controls.growth import left_to_learn
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.row_split import thinned
from lit_experiments.controls.scoring import (
    Scorer,
    of_classes,
    of_numbers,
    ranking_columns,
)
from lit_experiments.experiments.linear_probes.fitting import FieldFit, LayerMaps, shuffled_columns
from lit_experiments.experiments.linear_probes.readout import Read, ReadoutRequest, read_out
from lit_experiments.experiments.linear_probes.result import (
    ClassScores,
    ControlScore,
    FieldCurve,
    LayerScore,
    NumberScores,
    Shuffled,
    TwinScore,
)
from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.permutations import Permutations
from lit_experiments.statistics import Estimate

DETERMINED = 0.99
"""A control that scores above this determines the target: nothing can be beyond it."""
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class FieldReading:
    """A field's fits with what they say of the rows. beyond: by control; shuffled: of each copy."""

    fit: FieldFit
    main: Read
    linear: Read
    beyond: dict[str, Read]
    shuffled: list[Read]

    @property
    def loss(self) -> float:
        """The smallest of its layers."""
        return float(self.fit.main.loss.min())


def read_field(fits: dict[str, FieldFit]) -> dict[str, FieldReading]:
    """Target -> what its fits say, in one pass over the field's states; the targets have the same examples."""
    plan: list[tuple[str, str, ReadoutRequest]] = []
    for target, fit in fits.items():
        plan.append((target, "main", ReadoutRequest(fit.main, True)))
        plan.append((target, "linear", ReadoutRequest(fit.linear, False)))
        plan += [(target, f"beyond:{name}", ReadoutRequest(maps, False)) for name, maps in fit.beyond.items()]
        plan += [
            (target, f"shuffled:{number}", ReadoutRequest(maps, False)) for number, maps in enumerate(fit.shuffled)
        ]
    data = next(iter(fits.values())).data
    reads = read_out(data, [request for _, _, request in plan])
    by_role = {(target, role): read for (target, role, _), read in zip(plan, reads, strict=True)}
    return {
        target: FieldReading(
            fit,
            by_role[target, "main"],
            by_role[target, "linear"],
            {name: by_role[target, f"beyond:{name}"] for name in fit.beyond},
            [by_role[target, f"shuffled:{number}"] for number in range(len(fit.shuffled))],
        )
        for target, fit in fits.items()
    }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One target on all of its fields. scorer: on the test rows; permutations: of these; seed: of the shuffled probes.

    bins: of confidence, for the calibration error.
    """

    problem: Problem
    readings: Sequence[FieldReading]
    scorer: Scorer
    permutations: Permutations
    seed: int
    bins: int

    @cached_property
    def chosen(self) -> FieldReading:
        """The field with the smallest cross-validated loss at any layer."""
        return min(self.readings, key=lambda reading: reading.loss)

    @property
    def maps(self) -> LayerMaps:
        """The probe of the chosen field."""
        return self.chosen.fit.main

    @cached_property
    def predicted(self) -> Floats:
        """[n, C] numbers, or probabilities of K classes, of all rows, by the chosen layer of the chosen field."""
        values = self.chosen.main.chosen
        return np.exp(log_softmax(values)) if self.problem.classes else values

    @cached_property
    def held(self) -> Floats:
        """[test row, C] the chosen layer's ranking columns."""
        return self._ranked(self.predicted)[self.problem.test]

    @cached_property
    def nulls(self) -> list[Floats]:
        """[field][permutation, layer] scores of permuted labels."""
        return [self.scorer.null(self._layers(reading), self.permutations) for reading in self.readings]

    @cached_property
    def score(self) -> Estimate:
        """Of the chosen layer of the chosen field."""
        return self.scorer.estimates(self.held[:, None])[0]

    @property
    def null(self) -> Floats:
        """[permutation] scores of the chosen layer of the chosen field; both were chosen without the test rows."""
        place = [reading is self.chosen for reading in self.readings].index(True)
        return self.nulls[place][:, self.maps.layer]

    @cached_property
    def values(self) -> list[Floats]:
        """[field][layer] scores."""
        return [self.scorer.value(self._layers(reading)) for reading in self.readings]

    def curves(self, p: Sequence[Floats]) -> list[FieldCurve]:
        """Every layer of every field. p: [field][layer], corrected."""
        return [self._curve(*part) for part in zip(self.readings, self.nulls, p, strict=True)]

    def numbers(self) -> NumberScores | None:
        """Further scores of a number."""
        if self.problem.classes:
            return None
        return NumberScores(**of_numbers(self.scorer, self.predicted[self.problem.test, 0]))

    def probabilities(self) -> ClassScores | None:
        """Further scores of classes."""
        if not self.problem.classes:
            return None
        return ClassScores(**of_classes(self.scorer, self.predicted[self.problem.test], self.bins))

    def control(self, name: str, baseline: Baseline) -> ControlScore:
        """A baseline alone, with what the states tell of what it leaves, and the gain."""
        reading = min(self.readings, key=lambda reading: float(reading.fit.beyond[name].loss.min()))
        maps, test = reading.fit.beyond[name], self.problem.test
        alone = columns_of(self.problem, baseline.predicted)[test]
        joined = alone + reading.beyond[name].chosen[test]
        score = self.scorer.estimates(alone[:, None])[0]
        return ControlScore(
            model=baseline.model,
            losses=baseline.losses,
            score=score,
            with_states=self.scorer.estimates(joined[:, None])[0],
            gain=self.scorer.gain(joined, alone),
            layer=f"{reading.fit.field.name} {reading.fit.field.layers[maps.layer]}",
            determines=bool(score.value > DETERMINED),
            growth=self._growth(baseline),
        )

    def _growth(self, baseline: Baseline) -> float:
        """Left for a baseline to learn, by its scores on all rows, each predicted without its group."""
        if baseline.fewer is None:
            return math.nan
        rows = thinned(len(self.problem))
        boot = self.scorer.boot.over(self.problem.group[rows], self.seed)
        everywhere = Scorer(self.scorer.classes, self.problem.y[rows], boot)
        predicted = (baseline.predicted, *baseline.fewer)
        whole, half, quarter = (columns_of(self.problem, values)[rows] for values in predicted)
        two = everywhere.value(whole[:, None]) - everywhere.value(quarter[:, None])
        return left_to_learn(float(two[0]), everywhere.gain(whole, half))

    def shuffled(self) -> Shuffled:
        """Linear probes of shuffled labels, each scored on its own labels at the layer that it chose."""
        real = min(self.readings, key=lambda reading: float(reading.fit.linear.loss.min()))
        test = self.problem.test
        value = float(self.scorer.value(real.linear.chosen[test][:, None])[0])
        scores = []
        for number in range(len(self.readings[0].shuffled)):
            best = min(self.readings, key=partial(_shuffled_loss, number))
            donors = shuffled_columns(self.problem, number, self.seed)[1]
            labels = replace(self.scorer, true=self.problem.y[donors][test])
            scores.append(float(labels.value(best.shuffled[number].chosen[test][:, None])[0]))
        known = [score for score in scores if np.isfinite(score)]
        p = (1 + sum(score >= value for score in known)) / (1 + len(known)) if known else float("nan")
        return Shuffled(scores, p)

    def twin_layers(self, maps: LayerMaps, data: BlockDataModule) -> Floats:
        """[test row, L, C] what the twin's probe on the chosen field predicts."""
        (read,) = read_out(data, [ReadoutRequest(maps, True)])
        assert read.test is not None
        return self._ranked(self._probabilities(read.test))

    def twin(self, maps: LayerMaps, layers: Floats) -> TwinScore:
        """The twin's probe, by its predictions, against the model's."""
        by_layer = self.scorer.estimates(layers)
        return TwinScore(
            layer=self.chosen.fit.field.layers[maps.layer],
            score=by_layer[maps.layer],
            difference=self.scorer.gain(self.held, layers[:, maps.layer]),
            by_layer=by_layer,
        )

    def majority(self) -> float:
        """Accuracy, on test rows, of the commonest class of the training part; NaN for numbers."""
        if not self.problem.classes:
            return float("nan")
        codes = self.problem.y.astype(np.int64)
        return float((codes[self.problem.test] == np.bincount(codes[~self.problem.test]).argmax()).mean())

    def apart(self) -> Estimate | None:
        """The score on test rows without a like text in training; None where all or none of them have none."""
        alone = ~self.problem.neighbour[self.problem.test]
        if alone.all() or not alone.any() or len(np.unique(self.scorer.true[alone])) < 2:
            return None
        boot = self.scorer.boot.over(self.problem.group[self.problem.test][alone], self.seed)
        return Scorer(self.scorer.classes, self.scorer.true[alone], boot).estimates(self.held[alone][:, None])[0]

    def _curve(self, reading: FieldReading, null: Floats, p: Floats) -> FieldCurve:
        layers, maps = self._layers(reading), reading.fit.main
        scores = self.scorer.estimates(layers)
        low, high = np.quantile(null, _TAILS, axis=0)
        names = reading.fit.field.layers
        shown = [
            LayerScore(
                layer=name,
                penalty=float(maps.penalty[place]),
                loss=float(maps.loss[place]),
                score=scores[place],
                p=float(p[place]),
                null_low=float(low[place]),
                null_high=float(high[place]),
            )
            for place, name in enumerate(names)
        ]
        return FieldCurve(reading.fit.field.name, names[maps.layer], shown)

    def _layers(self, reading: FieldReading) -> Floats:
        """[test row, L, C] ranking columns of a field."""
        assert reading.main.test is not None
        return self._ranked(self._probabilities(reading.main.test))

    def _probabilities(self, values: Floats) -> Floats:
        return np.exp(log_softmax(values)) if self.problem.classes else values

    def _ranked(self, values: Floats) -> Floats:
        return ranking_columns(values) if self.problem.classes else values


def _shuffled_loss(number: int, reading: FieldReading) -> float:
    return float(reading.fit.shuffled[number].loss.min())
