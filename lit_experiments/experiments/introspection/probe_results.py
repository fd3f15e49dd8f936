"""What the fitted probes are worth on the test questions: scores per layer, controls, gains, corrected p-values.

Owns: the metrics of `introspection_probes`, and the files of its probes and held-out predictions. Does not know: how
anything was fitted, how it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lit_experiments.experiments.introspection.probe_data import CONTROLS, Control, Fitted, Questions, States, shuffled
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.experiments.introspection.scoring import Scorer, permutation_p, spread_of, threshold
from lit_experiments.plain import write_json
from lit_experiments.probes.by_layer import classes_by_layer, ridge_by_layer
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.statistics import GroupBootstrap, holm
from lit_experiments.statistics.scores import mean_absolute_error, spearman
from stores import Store

Floats = NDArray[np.float64]
LEVEL = 0.95
ALPHA = 0.05
"""Family-wise error, over the layers of one curve, of "above the control"."""
PREDICTIONS = "predictions.safetensors"


def evaluate(
    found: Sequence[States],
    targets: list[Target],
    questions: Questions,
    bootstraps: int,
    permutations: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Metrics of every pair (states of a pass, target), and the held-out predictions behind them by name."""
    pairs: list[dict[str, Any]] = []
    arrays: dict[str, Floats] = {}
    for states in found:
        held = _Held.of(states.fitted), None if states.twin is None else _Held.of(states.twin)
        for target in targets:
            pair = _Pair.of(states, *held, target, questions, bootstraps, seed)
            pairs.append(pair.metrics(permutations, seed))
            arrays |= {f"{states.kind}>{target.key}.{name}": values for name, values in pair.arrays.items()}
    for metrics, corrected in zip(pairs, holm([metrics["chosen"]["p"] for metrics in pairs]), strict=True):
        metrics["chosen"]["p_holm_targets"] = float(corrected)
    counts = {"all": len(questions.ids), "test": int(questions.test.sum()), "left_out": questions.left_out}
    result = {"questions": counts, "layers": _Held.layers_of(found[0].fitted), "pairs": pairs}
    return result | {"interval_level": LEVEL, "alpha": ALPHA, "twin": found[0].twin is not None}, arrays


@dataclass(frozen=True)
class _Pair:
    """The states of one pass and one target.

    arrays: by role, held-out predictions [test question with a value, layer, column]; `true` values; and `known` [test
    question], which have one. chosen: role -> layer, by cross-validation in the training part. penalty: of each layer.
    shuffled: [shuffle, layer] scores; shuffled_chosen: each shuffle's at the layer it chose.
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

    @classmethod
    def of(
        cls,
        states: States,
        held: _Held,
        twin: _Held | None,
        target: Target,
        questions: Questions,
        bootstraps: int,
        seed: int,
    ) -> _Pair:
        known = ~np.isnan(target.values[questions.test])
        true = target.values[questions.test][known]
        boot = GroupBootstrap(questions.ids[questions.test][known], resamples=bootstraps, level=LEVEL, seed=seed)
        scorer = Scorer(target.score, true, boot)
        controls = {n: states.controls[target.key, n] for n in CONTROLS if (target.key, n) in states.controls}
        arrays, chosen = _linear(held, target, controls, questions)
        probe = _probed(held, target)
        by_shuffle, own = _shuffled(held, target, questions, boot, seed)
        arrays["hidden"], chosen["hidden"] = probe.predicted, probe.layer
        if twin is not None:
            other = _probed(twin, target)
            arrays["twin"], chosen["twin"] = other.predicted, other.layer
        arrays = {name: np.ascontiguousarray(values[known]) for name, values in arrays.items()}
        arrays |= {"true": true, "known": known.astype(np.uint8)}
        layers = _Held.layers_of(states.fitted)
        return cls(states.kind, target, scorer, arrays, chosen, probe.penalty, by_shuffle, own, controls, layers)

    def metrics(self, permutations: int, seed: int) -> dict[str, Any]:
        """Everything about the pair."""
        target, predicted = self.target, self.arrays["hidden"]
        value, null = self.scorer.value(predicted), self.scorer.null(predicted, permutations, seed)
        p = permutation_p(value, null)
        bound, corrected = threshold(null, target.chance, ALPHA), holm(p)
        scores = self.scorer.estimates(predicted)
        layers = [
            {
                "layer": name,
                "penalty": self.penalty[at],
                "score": scores[at],
                "p": float(p[at]),
                "p_holm": float(corrected[at]),
                "threshold": float(bound[at]),
                "shuffled": spread_of(self.shuffled[:, at]),
            }
            for at, name in enumerate(self.layers)
        ]
        chosen = layers[self.chosen["hidden"]] | {"index": self.chosen["hidden"]} | self._more()
        out = {"states": self.kind, "target": target.key, "score": target.score, "chance": target.chance}
        out |= {"classes": list(target.classes), "test_questions": len(self.scorer.true), "layers": layers}
        out["linear_layer"] = self.layers[self.chosen["linear"]]
        return out | {"chosen": chosen, "controls": self._controls()}

    def _more(self) -> dict[str, Any]:
        """Further scores of the chosen layer."""
        true, boot = self.scorer.true, self.scorer.boot
        found = self.arrays["hidden"][:, self.chosen["hidden"]]
        if not self.target.classes:
            y, p = true, found[:, 0]
            return {
                "spearman": boot.from_rows(lambda w: spearman(y, p, w)),
                "mae": boot.from_rows(lambda w: mean_absolute_error(y, p, w)),
            }
        codes = true.astype(int)
        right, loss = found.argmax(1) == codes, -found[np.arange(len(codes)), codes]
        mean = {"accuracy": right.astype(np.float64), "log_loss": loss}
        return {name: boot.from_rows(partial(_weighted_mean, values)) for name, values in mean.items()}

    def _controls(self) -> dict[str, Any]:
        """Scores of the controls alone, with the hidden states, and paired gains; the twin; retrained shuffles."""
        out: dict[str, Any] = {"shuffled": spread_of(self.shuffled_chosen) | {"scores": self.shuffled_chosen}}
        for name, control in self.controls.items():
            alone, both = self.arrays[name], self.arrays[f"{name}_hidden"]
            at = self.chosen[f"{name}_hidden"]
            out[name] = {
                "features": control.features,
                "weights": control.weights,
                "score": self.scorer.estimates(alone)[0],
                "with_hidden": self.scorer.estimates(both[:, [at]])[0],
                "gain": self.scorer.gains(both[:, [at]], alone)[0],
                "layer": self.layers[at],
            }
        if "twin" in self.arrays:
            mine, twin = self.arrays["hidden"][:, [self.chosen["hidden"]]], self.arrays["twin"]
            chosen = twin[:, [self.chosen["twin"]]]
            out["twin"] = {
                "layer": self.layers[self.chosen["twin"]],
                "score": self.scorer.estimates(chosen)[0],
                "difference": self.scorer.gains(mine, chosen)[0],
                "by_layer": self.scorer.estimates(twin),
            }
        return out


def _weighted_mean(values: Floats, weights: Floats) -> float:
    return float(weights @ values / weights.sum())


@dataclass(frozen=True)
class _Held:
    """The held-out predictions of everything fitted on one pass's states: ridge [test question, layer, column], and
    per target with classes [test question, layer, class] log-probabilities."""

    fitted: Fitted
    ridge: Floats
    classes: dict[str, Floats]

    @classmethod
    def of(cls, fitted: Fitted) -> _Held:
        ridge = np.zeros(0) if fitted.ridge is None else ridge_by_layer(*fitted.ridge)
        return cls(fitted, ridge, {key: classes_by_layer(*each)[:, :, 0] for key, each in fitted.classes.items()})

    @staticmethod
    def layers_of(fitted: Fitted) -> list[str]:
        assert fitted.ridge is not None, "the model's own states have columns for every target"
        return fitted.ridge[1].layers

    @property
    def solution(self) -> Solution:
        assert self.fitted.ridge is not None, "asked for targets that are numbers"
        return self.fitted.ridge[0]


@dataclass(frozen=True)
class _Probed:
    """A probe's held-out predictions [test question, layer, C], its chosen layer, each layer's penalty."""

    predicted: Floats
    layer: int
    penalty: list[float]


def _probed(held: _Held, target: Target) -> _Probed:
    if target.classes:
        classes, _ = held.fitted.classes[target.key]
        penalty = classes.penalties[classes.penalty_index[:, 0]].tolist()
        return _Probed(held.classes[target.key], int(classes.layer_index[0]), penalty)
    at, solution = held.fitted.columns.where[target.key, "hidden"], held.solution
    penalty = solution.penalties[solution.penalty_index[:, at[0]]].tolist()
    return _Probed(held.ridge[:, :, at], int(solution.layer_index[at[0]]), penalty)


def _linear(
    held: _Held, target: Target, controls: dict[str, Control], questions: Questions
) -> tuple[dict[str, Floats], dict[str, int]]:
    """By ridge on the target, or on the 0/1 columns of its classes: the states alone (`linear`), each control alone,
    and the control with what the states tell of the rest (`surface_hidden`); and the layers chosen."""
    where = held.fitted.columns.where
    hidden = where[target.key, "hidden"]
    arrays, chosen = {"linear": held.ridge[:, :, hidden]}, {"linear": _layer_of(held.solution, hidden)}
    for name, control in controls.items():
        at, alone = where[target.key, name], control.predicted[questions.test][:, None, :]
        arrays |= {name: alone, f"{name}_hidden": alone + held.ridge[:, :, at]}
        chosen[f"{name}_hidden"] = _layer_of(held.solution, at)
    return arrays, chosen


def _layer_of(solution: Solution, columns: list[int]) -> int:
    """The layer with the least cross-validated error of these columns together."""
    error = solution.cv_mse.mean(1)
    picked = error.gather(1, solution.penalty_index[:, None, :])[:, 0]
    return int(picked[:, columns].sum(1).argmin())


def _shuffled(held: _Held, target: Target, questions: Questions, boot: GroupBootstrap, seed: int) -> tuple[Floats, Any]:
    """[S, L] scores of the ridges retrained on shuffled targets, against these; and each one's at its chosen layer."""
    where, known = held.fitted.columns.where, ~np.isnan(target.values[questions.test])
    roles = [role for key, role in where if key == target.key and role.startswith("shuffle")]
    scores, own = np.zeros((len(roles), held.ridge.shape[1])), []
    for k, role in enumerate(roles):
        at = where[target.key, role]
        true = shuffled(target, seed, k).values[questions.test][known]
        scores[k] = Scorer(target.score, true, boot).value(held.ridge[known][:, :, at])
        own.append(float(scores[k, _layer_of(held.solution, at)]))
    return scores, own


def save_all(
    out: Path,
    store: Store,
    found: Sequence[States],
    questions: Questions,
    result: dict[str, Any],
    arrays: dict[str, Floats],
) -> None:
    """Writes probes, split, held-out predictions, and last the metrics."""
    for states in found:
        assert states.fitted.ridge is not None, "the model's own states have columns for every target"
        probe = LinearProbe.of(*states.fitted.ridge)
        for pair in (pair for pair in result["pairs"] if pair["states"] == states.kind and not pair["classes"]):
            save_probe(probe.only(f"{pair['target']}|hidden"), out / "probes" / states.kind / pair["target"])
        for key, (classes, coded) in states.fitted.classes.items():
            kept = ClassProbe.of(classes, coded, store.fingerprint.get("model", {}), {"pass": states.kind})
            save_class_probe(kept, out / "probes" / states.kind / key)
    parts = {"train": questions.ids[~questions.test], "test": questions.ids[questions.test]}
    parts |= {f"fold{f}": questions.ids[questions.part == f] for f in np.unique(questions.part[~questions.test])}
    write_json(out / "split.json", {name: ids.tolist() for name, ids in parts.items()})
    draft = out / f"{PREDICTIONS}.tmp"
    draft.write_bytes(save(arrays))
    draft.replace(out / PREDICTIONS)
    write_json(out / "metrics.json", result)
