"""What a logistic run finds, and how it is chosen: arrays per layer, fold, penalty and target. Reads no data.

Shapes: L layer, D hidden, T target (the real one, then its shuffles), K class, F fold held out in turn, A penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from lit_experiments.probes.lbfgs import CONVERGED


@dataclass(frozen=True)
class Fits:
    """How some problems ended; all with the same shape.

    objective; gradient: largest entry of the gradient by standardised weights and intercepts; iterations: accepted
    steps; converged: whether the tolerance was reached.
    """

    objective: Tensor
    gradient: Tensor
    iterations: Tensor
    converged: Tensor

    @classmethod
    def of(cls, table: Tensor) -> Fits:
        """From [..., 4]: objective, gradient, iterations, status."""
        return cls(table[..., 0], table[..., 1], table[..., 2].long(), table[..., 3] == CONVERGED)

    @classmethod
    def joined(cls, parts: Sequence[Fits]) -> Fits:
        """One behind the other along the first dim."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class ClassSolution:
    """The chosen fits, on the CPU, float64 (indices int64, flags bool).

    classes: K names, in the order of the codes. penalties [A]; mean, scale [L, D] of the training part; coef
    [L, T, K, D] for standardised inputs and intercept [L, T, K] at each layer's and target's chosen penalty (of two
    classes the first has zeros); share [K] of the classes in the training part.
    cv_loss, cv_accuracy [L, F, A, T]: mean log-loss (nats) and share of right answers on held-out rows; cv_rows
    [F, T] rows behind them, cv_left_out [F, T] rows of classes that the other folds lack, which count in no score.
    penalty_index [L, T], layer_index [T]: the smallest log-loss, averaged over folds.
    final [L, T], chosen_from [L, F, A, T]: how the fits ended. rows: labelled training rows; passes: over the data.
    """

    classes: tuple[str, ...]
    penalties: Tensor
    mean: Tensor
    scale: Tensor
    coef: Tensor
    intercept: Tensor
    share: Tensor
    cv_loss: Tensor
    cv_accuracy: Tensor
    cv_rows: Tensor
    cv_left_out: Tensor
    penalty_index: Tensor
    layer_index: Tensor
    final: Fits
    chosen_from: Fits
    rows: int
    passes: int

    def held_out_accuracy(self) -> list[float]:
        """[L] of the real target, over the folds, at each layer's penalty; empty without cross-validation."""
        if not self.cv_accuracy.shape[1]:
            return []
        mean = self.cv_accuracy[..., 0].nanmean(1)
        return mean.gather(1, self.penalty_index[:, :1])[:, 0].tolist()

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and names: what `of_state` takes."""
        return {**vars(self), **{name: dict(vars(getattr(self, name))) for name in _ENDS}, "classes": [*self.classes]}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> ClassSolution:
        """The solution that gave this state."""
        ends = {name: Fits(**state[name]) for name in _ENDS}
        return cls(**{**state, **ends, "classes": tuple(state["classes"])})

    @classmethod
    def of_layers(cls, parts: Sequence[ClassSolution]) -> ClassSolution:
        """One solution of parts that hold some layers each, in order; the best layer is chosen among all."""
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in _BY_LAYER}
        ends = {name: Fits.joined([getattr(part, name) for part in parts]) for name in _ENDS}
        loss = joined["cv_loss"]
        best = loss.nanmean(1).amin(1).argmin(0) if loss.shape[1] else parts[0].layer_index
        passes = sum(part.passes for part in parts)
        return cls(**{**vars(parts[0]), **joined, **ends, "layer_index": best, "passes": passes})


_BY_LAYER = ("mean", "scale", "coef", "intercept", "cv_loss", "cv_accuracy", "penalty_index")
_ENDS = ("final", "chosen_from")


@dataclass
class Choice:
    """What the held-out fits leave behind, filled in as they end.

    fits [L, F, A, T, 4]: see `Fits.of`; held [L, F, A, T, 3] loss, right, rows; v [L, A, T, D, J] and b [L, A, T, J]
    float32 sums over folds of weights for inputs less their origin, where the final fits start.
    """

    fits: Tensor
    held: Tensor
    v: Tensor
    b: Tensor

    @classmethod
    def zeros(cls, shape: tuple[int, int, int, int], hidden: int, columns: int, device: torch.device) -> Choice:
        """shape: L, F, A, T."""
        layers, _, penalties, targets = shape
        start = torch.zeros(layers, penalties, targets, hidden + 1, columns, device=device)
        kind: dict[str, Any] = {"dtype": torch.float64, "device": device}
        table, held = torch.zeros(*shape, 4, **kind), torch.zeros(*shape, 3, **kind)
        return cls(table, held, start[..., :-1, :].clone(), start[..., -1, :].clone())

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def loss(self) -> Tensor:
        """[L, F, A, T] mean held-out log-loss."""
        return self.held[..., 0] / self.held[..., 2]

    def accuracy(self) -> Tensor:
        """[L, F, A, T] share of held-out rows that are right."""
        return self.held[..., 1] / self.held[..., 2]

    def penalty_index(self) -> Tensor:
        """[L, T] the penalty with the smallest log-loss; 0 if nothing was held out."""
        if not self.held.shape[1]:
            return torch.zeros(self.held.shape[0], self.held.shape[3], dtype=torch.int64, device=self.held.device)
        return self.loss().nanmean(1).argmin(1)

    def layer_index(self) -> Tensor:
        """[T] the layer whose best penalty has the smallest log-loss."""
        if not self.held.shape[1]:
            return torch.zeros(self.held.shape[3], dtype=torch.int64, device=self.held.device)
        return self.loss().nanmean(1).amin(1).argmin(0)
