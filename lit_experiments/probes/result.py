"""What a ridge run reports: scores with intervals, noise ceiling, baselines and controls, ready for JSON.

Reads no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.plain import plain
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.probes.solve import Solution
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.ceiling import ceiling_estimates, repeated_error_terms
from lit_experiments.statistics.intervals import CORRELATION, EXPLAINED
from lit_experiments.statistics.permutation import permutation_p
from lit_experiments.statistics.scores import RankCorrelation, mae_from_sums, mse_from_sums, r2_from_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of one part; each interval is over groups.

    values: single target values; groups: independent ones.
    """

    r2: Estimate
    mse: Estimate
    mae: Estimate
    spearman: Estimate
    values: int
    groups: int


@dataclass(frozen=True)
class LayerResult:
    """One layer at its own cross-validated penalty. cv_mse: None without cross-validation."""

    layer: str
    penalty: float
    cv_mse: float | None
    test_r2: Estimate


@dataclass(frozen=True)
class Control:
    """Test R2 of the same procedure on targets permuted between groups.

    p_value: (1 + shuffles at least as good as the real one) / (1 + shuffles), NaN without shuffles or test rows.
    """

    r2: list[float]
    p_value: float


@dataclass(frozen=True)
class TargetResult:
    """Everything about one target. Layer and penalty were chosen by cross-validation in the training part.

    ceiling: share of the test part's variance that lies between rows (one-way random effects), which bounds the R2 of
    any predictor that sees only the row; NaN without repetitions. of_ceiling: test R2 / ceiling, resampled together.
    mean_baseline: test R2 of the training mean. cv_mse: for each penalty, at the chosen layer.
    """

    target: str
    layer: str
    penalty: float
    train: Scores
    test: Scores
    ceiling: Estimate
    of_ceiling: Estimate
    mean_baseline: Estimate
    by_layer: list[LayerResult]
    cv_mse: dict[float, float]
    shuffled: Control

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        return plain(self)


def report(solution: Solution, predictions: Predictions) -> list[TargetResult]:
    """One result per real target."""
    return [_target(solution, predictions, t) for t in range(len(predictions.targets))]


def score_part(predictions: Predictions, name: str, target: int) -> Scores:
    """R2, MSE, MAE and Spearman of a target on the "train" or "test" part, over individual repetitions."""
    true, predicted, boot = predictions.part(name)
    y, p = true[..., target], predicted[:, target]
    sums = boot.sums(repeated_error_terms(y, p, predictions.center[target]))
    r2 = boot.from_sums(sums, r2_from_sums, EXPLAINED).item()
    mse, mae = (boot.from_sums(sums, f).item() for f in (mse_from_sums, mae_from_sums))
    row, _ = present = np.nonzero(~np.isnan(y))
    ranks = RankCorrelation(y[present], p[row], boot.unit_of_row[row])
    return Scores(r2, mse, mae, boot.from_counts(ranks, CORRELATION), len(row), boot.n)


def _target(solution: Solution, predictions: Predictions, t: int) -> TargetResult:
    layer = int(solution.layer_index[t])
    ceiling, of_ceiling = _ceiling(predictions, t)
    by_layer = _by_layer(solution, predictions, t)
    cv = solution.cv_mse[layer, :, :, t].mean(0).tolist() if solution.cv_mse.shape[1] else []
    true, _, boot = predictions.part("test")
    baseline = repeated_error_terms(true[..., t], np.full(len(true), predictions.center[t]), predictions.center[t])
    train, test = score_part(predictions, "train", t), score_part(predictions, "test", t)
    return TargetResult(
        predictions.targets[t],
        by_layer[layer].layer,
        by_layer[layer].penalty,
        train,
        test,
        ceiling,
        of_ceiling,
        boot.from_sums(boot.sums(baseline), r2_from_sums, EXPLAINED).item(),
        by_layer,
        dict(zip(solution.penalties.tolist(), cv, strict=False)),
        _control(predictions, t, test.r2.value),
    )


def _by_layer(solution: Solution, predictions: Predictions, t: int) -> list[LayerResult]:
    true, _, boot = predictions.part("test")
    center = predictions.center[t]
    common = boot.sums(repeated_error_terms(true[..., t], np.full(len(true), center), center))
    terms = np.repeat(common[:, None, :], len(predictions.layers), axis=1)
    terms[..., 2] = predictions.layer_squared_error[..., t]
    r2 = boot.from_sums(terms, r2_from_sums, EXPLAINED)
    out = []
    for at, layer in enumerate(predictions.layers):
        index = int(solution.penalty_index[at, t])
        errors = solution.cv_mse[at, :, index, t]
        cv_mse = float(errors.mean()) if len(errors) else None
        out.append(LayerResult(layer, float(solution.penalties[index]), cv_mse, r2[at]))
    return out


def _ceiling(predictions: Predictions, t: int) -> tuple[Estimate, Estimate]:
    """The between-row share of variance in the test part, and R2 over it, on the same replicates."""
    true, predicted, boot = predictions.part("test")
    return ceiling_estimates(true[..., t], predicted[:, t], float(predictions.center[t]), boot)


def _control(predictions: Predictions, t: int, real: float) -> Control:
    n, error, s, ss = predictions.shuffled[t :: len(predictions.targets)].T
    r2 = r2_from_sums(np.stack([n, np.zeros_like(n), error, s, ss], axis=-1))
    return Control(r2.tolist(), float(permutation_p(real, r2)))
