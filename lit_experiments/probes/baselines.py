"""What a probe is compared with: regression on a single number per row (length, entropy, a closed form).

Fitted on the training part. Two sets of predictions of the same test rows are compared on the same replicates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.intervals import EXPLAINED
from lit_experiments.statistics.scores import error_terms, r2_from_sums

Floats = NDArray[np.float64]


def univariate(predictions: Predictions, feature: ArrayLike) -> list[Estimate]:
    """Test R2, per target, of `on_one_number` with a feature [row], rows in the data module's order."""
    return held_out_r2(predictions, on_one_number(feature, predictions.true, ~predictions.test, predictions.center))


def on_one_number(feature: ArrayLike, true: Floats, train: NDArray[np.bool_], center: Floats) -> Floats:
    """[row, T] ordinary least squares of each target on one feature [row].

    true: [row, repetition, T], NaN for absent ones. train: [row] which rows are fitted to. center: [T] their means. A
    feature that does not vary among them predicts these. Raises ProbeError for a non-finite feature.
    """
    x = np.asarray(feature, np.float64)
    if x.shape != train.shape or not np.isfinite(x).all():
        raise ProbeError(
            f"A baseline feature must be one finite number for each of the {len(train)} rows, "
            f"found shape {x.shape} with {int((~np.isfinite(x)).sum())} non-finite."
        )
    out = np.empty((len(x), len(center)))
    for t, mean in enumerate(center):
        slope, middle = _line(x[train], true[train, :, t], float(mean))
        out[:, t] = mean + slope * (x - middle)
    return out


def held_out_r2(predictions: Predictions, predicted: Floats) -> list[Estimate]:
    """Test R2, per target, of other predictions [row, T] of the same rows."""
    boot = predictions.bootstraps["test"]
    sums = [boot.sums(terms) for terms in _terms(predictions, predicted)]
    return [boot.from_sums(by_unit, r2_from_sums, EXPLAINED).item() for by_unit in sums]


def r2_gains(predictions: Predictions, first: Floats, second: Floats) -> list[Estimate]:
    """Test R2 of `first` minus that of `second`, both [row, T], per target and on the same replicates."""
    boot = predictions.bootstraps["test"]
    pairs = zip(_terms(predictions, first), _terms(predictions, second), strict=True)
    sums = [boot.sums(np.concatenate(pair, -1)) for pair in pairs]
    return [boot.from_sums(by_unit, _difference).item() for by_unit in sums]


def _difference(sums: Floats) -> Floats:
    first, second = np.split(sums, 2, axis=-1)
    return r2_from_sums(first) - r2_from_sums(second)


def _terms(predictions: Predictions, predicted: Floats) -> list[Floats]:
    """Per target [test row, term] what R2 adds up, absent repetitions adding nothing."""
    true = predictions.true[predictions.test]
    out = []
    for t, center in enumerate(predictions.center):
        terms = error_terms(true[..., t], predicted[predictions.test, t][:, None], center)
        out.append(np.where(np.isnan(true[..., t])[..., None], 0.0, terms).sum(1))
    return out


def _line(x: Floats, y: Floats, center: float) -> tuple[float, float]:
    """Slope and weighted mean of x; x: [row], y: [row, repetition] with NaN for absent ones."""
    weight = (~np.isnan(y)).sum(1)
    middle = float(weight @ x / weight.sum())
    about = x - middle
    spread = float(weight @ about**2)
    slope = float(about @ np.nansum(y - center, 1)) / spread if spread > 1e-24 * float(weight @ x**2) else 0.0
    return slope, middle
