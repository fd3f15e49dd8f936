"""A fitted linear probe: plain arrays that predict. Knows nothing of how it was fitted or where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.errors import ProbeError

if TYPE_CHECKING:  # whoever only reads a probe needs no torch
    from lit_experiments.probes.data import BlockDataModule
    from lit_experiments.probes.solve import Solution

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearProbe:
    """One linear function per target: weights . (x - mean) / scale + intercept, x a hidden vector of its layer.

    targets, layers: T names each. weights, mean, scale: [T, D] float64. intercept, penalty: [T] float64.
    fingerprint: that of the data it was trained on. rows: how many training rows, repetitions counted. notes: what else
    its user must know.
    """

    targets: tuple[str, ...]
    layers: tuple[str, ...]
    weights: Floats
    mean: Floats
    scale: Floats
    intercept: Floats
    penalty: Floats
    fingerprint: dict[str, Any]
    rows: int
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hidden = self.weights.shape[-1]
        expected: dict[str, tuple[int, ...]] = {
            "weights": (len(self.targets), hidden),
            "mean": (len(self.targets), hidden),
        }
        expected |= {"scale": (len(self.targets), hidden)} | dict.fromkeys(
            ("intercept", "penalty"), (len(self.targets),)
        )
        for name, shape in expected.items():
            actual = getattr(self, name).shape
            if actual != shape:
                raise ProbeError(
                    f"The probe's {name} has shape {actual}, its {len(self.targets)} targets need {shape}."
                )
        if len(self.layers) != len(self.targets):
            raise ProbeError(f"The probe names {len(self.layers)} layers for {len(self.targets)} targets.")

    @classmethod
    def of(
        cls,
        solution: Solution,
        data: BlockDataModule,
        layer: str | None = None,
        notes: dict[str, Any] | None = None,
    ) -> LinearProbe:
        """The chosen layer, or `layer`, and penalty of every real target (not of the shuffled controls)."""
        if layer is not None and layer not in data.layers:
            raise ProbeError(f"There is no layer {layer!r}; there are {', '.join(data.layers)}.")
        n = len(data.real_targets)
        chosen = solution.layer_index[:n].numpy()
        if layer is not None:
            chosen = np.full(n, data.layers.index(layer))
        penalty = solution.penalties[solution.penalty_index[chosen, np.arange(n)]].numpy()
        coef, mean, scale = (
            solution.coef.numpy()[chosen, np.arange(n)],
            solution.mean.numpy()[chosen],
            solution.scale.numpy(),
        )
        names = tuple(data.layers[int(at)] for at in chosen)
        y_mean = solution.y_mean.numpy()[:n] + solution.offset.numpy()[chosen, np.arange(n)]
        arrays = (coef, mean, scale[chosen], y_mean, penalty)
        rows, fingerprint = int(solution.rows), dict(data.fingerprint)
        return cls(tuple(data.real_targets), names, *arrays, fingerprint, rows, dict(notes or {}))

    def only(self, target: str) -> LinearProbe:
        """The part for one target."""
        i = [self._position(target)]
        arrays = {name: getattr(self, name)[i] for name in ("weights", "mean", "scale", "intercept", "penalty")}
        return replace(self, targets=(target,), layers=(self.layers[i[0]],), **arrays)

    def layer_of(self, target: str) -> str:
        """The name of the layer whose vectors `predict` takes for this target."""
        return self.layers[self._position(target)]

    def predict(self, x: ArrayLike, target: str) -> Floats:
        """[row] predictions from x [row, hidden], the vectors of `layer_of(target)`."""
        i, rows = self._position(target), np.asarray(x, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.weights.shape[1]:
            raise ProbeError(f"The probe takes [row, {self.weights.shape[1]}] vectors, found shape {rows.shape}.")
        return (rows - self.mean[i]) @ (self.weights[i] / self.scale[i]) + self.intercept[i]

    def to_sklearn(self, target: str) -> Any:
        """A fitted scikit-learn Pipeline(StandardScaler, Ridge) that predicts the same from x [row, hidden]."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        i = self._position(target)
        scaler, ridge = StandardScaler(), Ridge(alpha=float(self.penalty[i]))
        scaler.mean_, scaler.scale_, scaler.var_ = self.mean[i].copy(), self.scale[i].copy(), self.scale[i] ** 2
        scaler.n_samples_seen_ = self.rows
        ridge.coef_, ridge.intercept_ = self.weights[i].copy(), float(self.intercept[i])
        scaler.n_features_in_ = ridge.n_features_in_ = self.weights.shape[1]
        return make_pipeline(scaler, ridge)

    def _position(self, target: str) -> int:
        if target not in self.targets:
            raise ProbeError(f"The probe has no target {target!r}; it has {', '.join(self.targets)}.")
        return self.targets.index(target)
