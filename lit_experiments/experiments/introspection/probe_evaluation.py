"""What the fitted probes are worth on the test questions: scores per layer, controls, gains, corrected p-values.

Owns: the metrics of `introspection_probes`. Does not know: how anything was fitted, how it is shown or kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.claims import Twins
from lit_experiments.controls.growth import left_to_learn
from lit_experiments.controls.row_split import thinned
from lit_experiments.experiments.introspection.held_out import HeldOut
from lit_experiments.experiments.introspection.passes import SIGNIFICANT
from lit_experiments.experiments.introspection.probe_data import CONTROLS, Control, Questions, States
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.experiments.introspection.probes_result import (
    ChosenScore,
    Controls,
    ControlScore,
    LayerScore,
    ProbedPair,
    ShuffledScores,
    Spread,
    TwinScore,
)
from lit_experiments.experiments.introspection.scoring import Scorer
from lit_experiments.probes.permutations import Permutations, shared
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.intervals import CORRELATION, SHARE
from lit_experiments.statistics.max_t import Family
from lit_experiments.statistics.permutation import permutation_p
from lit_experiments.statistics.scores import mean_absolute_error, spearman

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """How chance enters. resampler: the bootstrap over groups; permutations: of the test questions, behind p-values;
    seed: of these and of the shuffles."""

    resampler: Callable[[ArrayLike], GroupBootstrap]
    permutations: int
    seed: int


def evaluate(
    fits: Sequence[States], targets: list[Target], questions: Questions, chance: Chance
) -> tuple[list[ProbedPair], dict[str, Floats]]:
    """Metrics of every pair (states of a pass, target), and the held-out predictions behind them by name."""
    pairs: list[_Pair] = []
    arrays: dict[str, Floats] = {}
    for states in fits:
        held = HeldOut.of(states.fitted), None if states.twin is None else HeldOut.of(states.twin)
        for target in targets:
            pairs.append(_Pair.of(states, *held, target, questions, chance))
            arrays |= {f"{states.kind}>{target.key}.{name}": values for name, values in pairs[-1].arrays.items()}
    tests = _tests(pairs, shared([pair.group for pair in pairs], chance.permutations, chance.seed))
    return [pair.metrics(test) for pair, test in zip(pairs, tests, strict=True)], arrays


@dataclass(frozen=True)
class _Tests:
    """Of one pair. p, corrected, bound [layer]: by itself; over all layers and pairs; what a score must exceed for the
    latter to be significant. targets: p of the chosen layer over all pairs."""

    p: Floats
    corrected: Floats
    bound: Floats
    targets: float


def _tests(pairs: Sequence[_Pair], permutations: Sequence[Permutations]) -> list[_Tests]:
    """Of every pair, which are one family; the chosen layers, which were chosen without test questions, are another."""
    if not pairs:
        return []
    values = [pair.scorer.value(pair.arrays["hidden"]) for pair in pairs]
    nulls = [pair.scorer.null(pair.arrays["hidden"], moved) for pair, moved in zip(pairs, permutations, strict=True)]
    chosen = [[pair.chosen["hidden"]] for pair in pairs]
    over_pairs = Family.joined(
        [value[at] for value, at in zip(values, chosen, strict=True)],
        [null[:, at] for null, at in zip(nulls, chosen, strict=True)],
    ).adjusted()
    family = Family.joined(values, nulls)
    corrected, bounds = family.adjusted().reshape(len(pairs), -1), family.bounds(SIGNIFICANT).reshape(len(pairs), -1)
    return [
        _Tests(permutation_p(value, null), p, np.maximum(bound, pair.target.chance), float(of_targets))
        for pair, value, null, p, bound, of_targets in zip(
            pairs, values, nulls, corrected, bounds, over_pairs, strict=True
        )
    ]


@dataclass(frozen=True)
class _Pair:
    """The states of one pass and one target.

    arrays: by role, held-out predictions [test question with a value, layer, column]; `true` values; and `known` [test
    question], which have one. chosen: role -> layer, by cross-validation in the training part. penalty: of each layer.
    shuffled: [shuffle, layer] scores; shuffled_chosen: each shuffle's at the layer it chose. random, random_kind: see
    `States`. alone, group [test question with a value]: has no like text in training; of which group it is. groups
    [question]: of all.
    """

    kind: str
    target: Target
    scorer: Scorer
    arrays: dict[str, Floats]
    chosen: dict[str, int]
    penalty: list[float]
    shuffled: Floats
    shuffled_chosen: list[float]
    controls: dict[str, Control]
    layers: list[str]
    random: Floats | None
    random_kind: str
    alone: NDArray[np.bool_]
    group: NDArray[np.str_]
    groups: NDArray[np.str_]

    @classmethod
    def of(
        cls,
        states: States,
        held: HeldOut,
        twin: HeldOut | None,
        target: Target,
        questions: Questions,
        chance: Chance,
    ) -> _Pair:
        known = ~np.isnan(target.values[questions.test])
        true = target.values[questions.test][known]
        boot = chance.resampler(questions.split.group[questions.test][known])
        scorer = Scorer(target.score, true, boot)
        controls = {n: states.controls[target.key, n] for n in CONTROLS if (target.key, n) in states.controls}
        arrays, chosen = held.linear(target, controls, questions)
        probe = held.probe(target)
        by_shuffle, at_chosen = held.shuffled(target, questions, boot, chance.seed)
        arrays["hidden"], chosen["hidden"] = probe.predicted, probe.layer
        if twin is not None:
            other = twin.probe(target)
            arrays["twin"], chosen["twin"] = other.predicted, other.layer
        arrays = {name: np.ascontiguousarray(values[known]) for name, values in arrays.items()}
        arrays |= {"true": true, "known": known.astype(np.uint8)}
        return cls(
            kind=states.kind,
            target=target,
            scorer=scorer,
            arrays=arrays,
            chosen=chosen,
            penalty=probe.penalty,
            shuffled=by_shuffle,
            shuffled_chosen=at_chosen,
            controls=controls,
            layers=states.fitted.layers,
            random=states.random.get(target.key),
            random_kind=states.random_kind,
            alone=~questions.split.neighbour[questions.test][known],
            group=questions.split.group[questions.test][known],
            groups=questions.split.group,
        )

    def metrics(self, tests: _Tests) -> ProbedPair:
        """Everything about the pair."""
        target, layers = self.target, self._layers(tests)
        return ProbedPair(
            states=self.kind,
            target=target.key,
            score=target.score,
            chance=target.chance,
            classes=list(target.classes),
            test_questions=len(self.scorer.true),
            layers=layers,
            linear_layer=self.layers[self.chosen["linear"]],
            linear=float(self.scorer.value(self.arrays["linear"][:, [self.chosen["linear"]]])[0]),
            apart=self._apart(),
            chosen=self._chosen(layers, tests),
            controls=self._controls(),
        )

    def _layers(self, tests: _Tests) -> list[LayerScore]:
        scores = self.scorer.estimates(self.arrays["hidden"])
        return [
            LayerScore(
                layer=name,
                penalty=self.penalty[place],
                score=scores[place],
                p=float(tests.p[place]),
                p_corrected=float(tests.corrected[place]),
                threshold=float(tests.bound[place]),
                shuffled=Spread.of(self.shuffled[:, place]),
            )
            for place, name in enumerate(self.layers)
        ]

    def _chosen(self, layers: list[LayerScore], tests: _Tests) -> ChosenScore:
        """The chosen layer with its further scores."""
        place, true, boot = self.chosen["hidden"], self.scorer.true, self.scorer.boot
        chosen = ChosenScore(**vars(layers[place]), index=place, p_targets=tests.targets)
        predicted = self.arrays["hidden"][:, place]
        if not self.target.classes:
            y, p = true, predicted[:, 0]
            return replace(
                chosen,
                spearman=boot.from_rows(lambda w: spearman(y, p, w), CORRELATION),
                mae=boot.from_rows(lambda w: mean_absolute_error(y, p, w)),
            )
        codes = true.astype(int)
        right, loss = predicted.argmax(1) == codes, -predicted[np.arange(len(codes)), codes]
        return replace(
            chosen,
            accuracy=boot.from_rows(partial(_weighted_mean, right.astype(np.float64)), SHARE),
            log_loss=boot.from_rows(partial(_weighted_mean, loss)),
        )

    def _controls(self) -> Controls:
        """Scores of the controls alone, with the hidden states, and paired gains; the twin; retrained shuffles."""
        shuffles = ShuffledScores(**vars(Spread.of(self.shuffled_chosen)), scores=self.shuffled_chosen)
        scores = {name: self._control(name, control) for name, control in self.controls.items()}
        return Controls(shuffles, scores.get("surface"), scores.get("confidence"), self._twin(), self._twins())

    def _control(self, name: str, control: Control) -> ControlScore:
        place = self.chosen[f"{name}_hidden"]
        alone, joint = self.arrays[name], self.arrays[f"{name}_hidden"][:, [place]]
        return ControlScore(
            features=control.features,
            weights=control.weights.tolist(),
            score=self.scorer.estimates(alone)[0],
            with_hidden=self.scorer.estimates(joint)[0],
            gain=self.scorer.gains(joint, alone)[0],
            layer=self.layers[place],
            model=control.model,
            definition=control.definition,
            growth=self._growth(control),
        )

    def _growth(self, control: Control) -> float:
        """Left for a control to learn, by its scores on all questions, each predicted without its group."""
        if control.fewer is None:
            return math.nan
        known = np.flatnonzero(~np.isnan(self.target.values))
        rows = known[thinned(len(known))]
        boot = self.scorer.boot.over(self.groups[rows], 0)
        everywhere = replace(self.scorer, true=self.target.values[rows], boot=boot)
        whole, half, quarter = (values[rows][:, None] for values in (control.predicted, *control.fewer))
        two = everywhere.value(whole) - everywhere.value(quarter)
        return left_to_learn(float(two[0]), everywhere.gains(whole, half)[0])

    def _apart(self) -> Estimate | None:
        """The score on test questions without a like text in training."""
        if self.alone.all() or len(np.unique(self.scorer.true[self.alone])) < 2:
            return None
        boot = self.scorer.boot
        of_rest = boot.over(boot.unit_of_row[self.alone], 0)
        rest = Scorer(self.scorer.kind, self.scorer.true[self.alone], of_rest)
        return rest.estimates(self.arrays["hidden"][self.alone][:, [self.chosen["hidden"]]])[0]

    def _twins(self) -> Twins | None:
        """All probes of states that no training shaped."""
        predicted = [] if self.random is None else [self.random[:, [k]] for k in range(self.random.shape[1])]
        if "twin" in self.arrays:
            predicted = [self.arrays["twin"][:, [self.chosen["twin"]]], *predicted]
        if not predicted:
            return None
        scores = [self.scorer.estimates(values)[0] for values in predicted]
        best = int(np.argmax([score.value for score in scores]))
        model = self.arrays["hidden"][:, [self.chosen["hidden"]]]
        difference = self.scorer.gains(model, predicted[best])[0]
        return Twins(self.random_kind, [score.value for score in scores], scores[best], difference)

    def _twin(self) -> TwinScore | None:
        if "twin" not in self.arrays:
            return None
        model, twin = self.arrays["hidden"][:, [self.chosen["hidden"]]], self.arrays["twin"]
        chosen = twin[:, [self.chosen["twin"]]]
        return TwinScore(
            layer=self.layers[self.chosen["twin"]],
            score=self.scorer.estimates(chosen)[0],
            difference=self.scorer.gains(model, chosen)[0],
            by_layer=self.scorer.estimates(twin),
        )


def _weighted_mean(values: Floats, weights: Floats) -> float:
    return float(weights @ values / weights.sum())
