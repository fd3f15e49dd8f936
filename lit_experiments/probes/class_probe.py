"""A fitted classifier: plain arrays that predict class probabilities, and its files. Knows no fitting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.save import Kind, differing_keys, read_files, write_files

if TYPE_CHECKING:  # whoever only reads a probe needs no torch
    from lit_experiments.probes.class_solution import ClassSolution
    from lit_experiments.probes.data import BlockDataModule

Floats = NDArray[np.float64]

ARRAYS = ("weights", "mean", "scale", "intercept")
_REST = ("layer", "penalty", "model", "fingerprint", "rows", "notes")
LOGISTIC = Kind("lit-experiments-logistic-probe", 1, frozenset({"classes", "hidden", *_REST}))


@dataclass(frozen=True)
class ClassProbe:
    """softmax(weights . (x - mean) / scale + intercept), x a hidden vector of its layer.

    classes: K names, in the order of the probabilities. weights [K, D], mean, scale [D], intercept [K]: float64.
    penalty: per training row (see `class_problems`). model: fingerprint of the language model whose states it reads.
    fingerprint: of the data it was trained on. rows: training rows. notes: what else its user must know, such as
    excluded classes.
    """

    classes: tuple[str, ...]
    layer: str
    weights: Floats
    mean: Floats
    scale: Floats
    intercept: Floats
    penalty: float
    model: dict[str, Any]
    fingerprint: dict[str, Any]
    rows: int
    notes: dict[str, Any]

    def __post_init__(self) -> None:
        count, hidden = len(self.classes), self.weights.shape[-1]
        expected = {"weights": (count, hidden), "mean": (hidden,), "scale": (hidden,), "intercept": (count,)}
        for name, shape in expected.items():
            actual = getattr(self, name).shape
            if actual != shape:
                raise ProbeError(f"The probe's {name} has shape {actual}, its {count} classes need {shape}.")

    @classmethod
    def of(
        cls,
        solution: ClassSolution,
        data: BlockDataModule,
        model: dict[str, Any],
        notes: dict[str, Any],
        layer: str | None = None,
    ) -> ClassProbe:
        """The fit of the chosen layer, or of `layer`, at its chosen penalty, to the real labels."""
        if layer is not None and layer not in data.layers:
            raise ProbeError(f"There is no layer {layer!r}; there are {', '.join(data.layers)}.")
        at = int(solution.layer_index[0]) if layer is None else data.layers.index(layer)
        return cls(
            classes=solution.classes,
            layer=data.layers[at],
            weights=solution.coef[at, 0].numpy(),
            mean=solution.mean[at].numpy(),
            scale=solution.scale[at].numpy(),
            intercept=solution.intercept[at, 0].numpy(),
            penalty=float(solution.penalties[solution.penalty_index[at, 0]]),
            model=dict(model),
            fingerprint=dict(data.fingerprint),
            rows=solution.rows,
            notes=dict(notes),
        )

    def predict_proba(self, x: ArrayLike) -> Floats:
        """[row, K] probabilities from x [row, hidden], the vectors of `layer`."""
        return np.exp(self.predict_log_proba(x))

    def predict_log_proba(self, x: ArrayLike) -> Floats:
        """[row, K] log-probabilities (nats) from x [row, hidden]."""
        rows = np.asarray(x, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.weights.shape[1]:
            raise ProbeError(f"The probe takes [row, {self.weights.shape[1]}] vectors, found shape {rows.shape}.")
        return log_softmax((rows - self.mean) @ (self.weights / self.scale).T + self.intercept)

    def to_sklearn(self) -> Any:
        """A fitted scikit-learn Pipeline(StandardScaler, LogisticRegression) with the same probabilities."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        scaler, logistic = (
            StandardScaler(),
            LogisticRegression(C=1 / (self.penalty * self.rows) if self.penalty else np.inf),
        )
        scaler.mean_, scaler.scale_, scaler.var_ = self.mean.copy(), self.scale.copy(), self.scale**2
        scaler.n_samples_seen_ = self.rows
        binary = slice(1, None) if len(self.classes) == 2 else slice(None)
        logistic.coef_, logistic.intercept_ = self.weights[binary].copy(), self.intercept[binary].copy()
        logistic.classes_, logistic.n_iter_ = np.array(self.classes), np.zeros(1, np.int32)
        scaler.n_features_in_ = logistic.n_features_in_ = self.weights.shape[1]
        return make_pipeline(scaler, logistic)


def log_softmax(logits: Floats) -> Floats:
    """Over the last dim."""
    about = logits - logits.max(-1, keepdims=True)
    return about - np.log(np.exp(about).sum(-1, keepdims=True))


def save_class_probe(probe: ClassProbe, folder: Path) -> None:
    """Write `probe.safetensors` and `probe.json` into `folder`, each whole or not at all."""
    about = {name: getattr(probe, name) for name in _REST}
    about |= {"classes": list(probe.classes), "hidden": int(probe.weights.shape[1])}
    about |= {"formula": "softmax(weights . (x - mean) / scale + intercept)"}
    write_files(folder, LOGISTIC, about, {name: np.ascontiguousarray(getattr(probe, name)) for name in ARRAYS})


def load_class_probe(
    folder: Path, *, model: dict[str, Any] | None, layer: str | None, classes: list[str] | None
) -> ClassProbe:
    """Read a probe to use it on states of this model and layer, with classes in this order; None asks nothing.

    Raises ProbeError if files are missing or damaged, and if the probe is of another model, layer or class order, with
    the difference.
    """
    about, arrays = read_files(folder, LOGISTIC)
    _check_use(folder, about, model, layer, classes)
    if arrays.keys() != set(ARRAYS) or arrays["weights"].shape != (len(about["classes"]), about["hidden"]):
        raise ProbeError(
            f"{folder}: arrays {sorted(arrays)} do not fit probe.json, which names {len(about['classes'])} classes."
        )
    rest: dict[str, Any] = {name: about[name] for name in _REST}
    return ClassProbe(classes=tuple(about["classes"]), **rest, **arrays)  # type: ignore[arg-type]


def _check_use(
    folder: Path, about: dict[str, Any], model: dict[str, Any] | None, layer: str | None, classes: list[str] | None
) -> None:
    differing = differing_keys(about["model"], model)
    if differing:
        pairs = "; ".join(f"{k}: {about['model'].get(k)} there, {(model or {}).get(k)} here" for k in differing)
        raise ProbeError(
            f"The probe in {folder} reads another model: {pairs}. Use that model, or train a probe on this one."
        )
    if layer is not None and layer != about["layer"]:
        raise ProbeError(
            f"The probe in {folder} reads layer {about['layer']}, not {layer}. Give it that layer's states, or train "
            f"one on {layer}."
        )
    if classes is not None and list(classes) != about["classes"]:
        raise ProbeError(
            f"The probe in {folder} has the classes {', '.join(about['classes'])}, in this order; expected "
            f"{', '.join(classes)}. Its probabilities would be misnamed; train a probe with these classes."
        )
