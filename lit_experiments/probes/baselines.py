"""What a probe is compared with: regression on a single number per row (length, entropy, a closed form).

Fitted on the training part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.scores import error_terms, r2_from_sums


def univariate(predictions: Predictions, feature: ArrayLike) -> list[Estimate]:
    """Test R2, per target, of ordinary least squares on one feature [row]; rows in the data module's order.

    A feature that does not vary in the training part predicts the training mean. Raises ProbeError for a non-finite
    feature.
    """
    x = np.asarray(feature, np.float64)
    if x.shape != predictions.test.shape or not np.isfinite(x).all():
        raise ProbeError(
            f"A baseline feature must be one finite number for each of the {len(predictions.test)} rows, "
            f"found shape {x.shape} with {int((~np.isfinite(x)).sum())} non-finite."
        )
    true, _, boot = predictions.part("test")
    out = []
    for t, center in enumerate(predictions.center):
        slope, at = _fit(x[~predictions.test], predictions.true[~predictions.test, :, t], float(center))
        found = center + slope * (x[predictions.test] - at)
        terms = error_terms(true[..., t], found[:, None], center)
        sums = boot.sums(np.where(np.isnan(true[..., t])[..., None], 0.0, terms).sum(1))
        out.append(boot.from_sums(sums, r2_from_sums).item())
    return out


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], center: float) -> tuple[float, float]:
    """Slope and weighted mean of x; x: [row], y: [row, repetition] with NaN for absent ones."""
    weight = (~np.isnan(y)).sum(1)
    at = float(weight @ x / weight.sum())
    about = x - at
    spread = float(weight @ about**2)
    return (float(about @ np.nansum(y - center, 1)) / spread if spread > 1e-24 * float(weight @ x**2) else 0.0), at
