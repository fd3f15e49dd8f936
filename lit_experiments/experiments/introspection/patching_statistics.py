"""What the interventions' numbers say: effects with intervals, beside random directions and control patches.

Pure functions on the arrays of `patching_run`. N questions, R random directions, P pairs, M measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.experiments.introspection.patching_passes import MEASURES
from lit_experiments.statistics import Estimate, GroupBootstrap, holm

Floats = NDArray[np.float64]
PRIMARY = {"mcq": "entropy", "self_confidence": "confidence", "other_confidence": "confidence"}
"""The measure that a pass is about: the gap that patching is to close, and what the summary speaks of."""
_BY_KEY = ("accuracy", "key")  # judged by the recipient's key, so the donor's own value is no goal


@dataclass(frozen=True)
class Settings:
    """multiples: of the spread; flips: random sign flips behind each p-value of patching."""

    multiples: Floats
    bootstraps: int
    flips: int
    level: float
    seed: int

    def boot(self, rows: int) -> GroupBootstrap:
        """Resamples of so many questions (pairs); the same for every layer."""
        return GroupBootstrap(np.arange(rows), resamples=self.bootstraps, level=self.level, seed=self.seed)


def pass_statistics(kind: str, layers: list[dict[str, Any] | None], settings: Settings) -> list[dict[str, Any] | None]:
    """Per layer `layer_statistics`, with p-values corrected over the layers of the pass (Holm), per measure."""
    found = [None if layer is None else layer_statistics(kind, layer, settings) for layer in layers]
    for measure in MEASURES:
        for what in ("steer", "ablate", "patch"):
            tested = [each[what][measure] for each in found if each is not None and measure in each[what]]
            for scores, corrected in zip(tested, holm([scores["p"] for scores in tested]), strict=True):
                scores["p_holm"] = float(corrected)
    return found


def layer_statistics(kind: str, layer: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Everything about one pass and layer, by intervention and measure; measures that a pass lacks are left out."""
    known = [name for name in MEASURES if np.isfinite(layer["clean"][:, MEASURES.index(name)]).all()]
    out: dict[str, Any] = {"spread": layer["spread"], "clean": {}, "steer": {}, "ablate": {}, "patch": {}}
    boots = settings.boot(len(layer["clean"])), settings.boot(len(layer["patch"]))
    for name in known:
        m = MEASURES.index(name)
        out["clean"][name] = mean(layer["clean"][:, m], boots[0])
        out["steer"][name] = steering(layer["steer"][..., m], layer["random_steer"][..., m], settings, boots[0])
        out["ablate"][name] = ablation(layer["ablate"][:, m], layer["random_ablate"][:, m], settings.level, boots[0])
        patch, control = layer["patch"][:, m], layer["control"][:, m]
        gap = None if name in _BY_KEY else layer["high"][:, m] - layer["low"][:, m]
        out["patch"][name] = patching(patch, control, gap, settings, boots[1])
    return out


def steering(changes: Floats, random: Floats, settings: Settings, boot: GroupBootstrap) -> dict[str, Any]:
    """Of one measure: the mean change at each multiple; the slope per spread, beside random directions.

    changes: [multiple, N]; random: [R, multiple], means over the same questions. The slope is that of least squares
    through the clean answer, where the change is 0 by definition; p: two-sided, by its rank among random slopes.
    """
    m = settings.multiples
    weights = m / (m @ m)
    slope = mean(weights @ changes, boot)
    slopes = random @ weights
    return {
        "changes": [mean(row, boot) for row in changes],
        "random_changes": [spread_of(column, settings.level) for column in random.T],
        "slope": slope,
        "random": spread_of(slopes, settings.level),
        "p": rank_p(slope.value, slopes),
    }


def ablation(changes: Floats, random: Floats, level: float, boot: GroupBootstrap) -> dict[str, Any]:
    """Of one measure: the mean change [N] without the direction, beside random ones [R]; p as in `steering`."""
    change = mean(changes, boot)
    return {"change": change, "random": spread_of(random, level), "p": rank_p(change.value, random)}


def patching(
    patch: Floats, control: Floats, gaps: Floats | None, settings: Settings, boot: GroupBootstrap
) -> dict[str, Any]:
    """Of one measure: the mean change [P] by a high donor's state, by a low one's (control), and as share of the gap.

    gaps: [P] donor minus recipient, None where that means nothing. The share is sum of changes over sum of gaps; none
    where the gap's own interval holds 0. p: patch against control, paired by recipient, two-sided, by flipping signs.
    """
    none = Estimate.undefined(boot.n, boot.level)
    gap = none if gaps is None else mean(gaps, boot)
    share = none if gaps is None else ratio(patch, gaps, boot)
    return {
        "change": mean(patch, boot),
        "control": mean(control, boot),
        "difference": mean(patch - control, boot),
        "gap": gap,
        "share": share if gap.side_of(0) else none,
        "p": sign_flip_p(patch - control, settings.flips, settings.seed),
    }


def mean(values: Floats, boot: GroupBootstrap) -> Estimate:
    """Mean [N] with its interval over questions."""
    return ratio(values, np.ones_like(values), boot)


def ratio(above: Floats, below: Floats, boot: GroupBootstrap) -> Estimate:
    """Sum of `above` [N] over sum of `below` [N], with its interval over questions."""
    sums = boot.sums(np.stack([above, below], -1))
    found: Estimate = boot.from_sums(sums, lambda totals: totals[..., 0] / totals[..., 1]).item()
    return found


def spread_of(values: Floats, level: float) -> dict[str, float]:
    """Mean and central range of random directions' values [R]."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def rank_p(value: float, random: ArrayLike) -> float:
    """Two-sided p by rank of |value| among |random|: (1 + as large or larger) / (1 + R), NaN without a value."""
    others = np.abs(np.asarray(random, np.float64))
    return float((1 + (others >= abs(value)).sum()) / (1 + len(others))) if np.isfinite(value) else float("nan")


def sign_flip_p(differences: Floats, flips: int, seed: int) -> float:
    """Two-sided p that the mean difference [P] is 0, were its signs exchangeable: by random sign flips."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (flips, len(differences)))
    # Equal sums in another order differ by rounding; they count as equal.
    drawn, seen = np.abs(signs @ differences), abs(differences.sum())
    return float((1 + (drawn >= seen * (1 - 1e-9)).sum()) / (1 + flips))
