"""The prefixes that count, with forecasts and draws side by side: who among them is marked, shown, listed.

Does not know: taggers, reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.agreement import Terms, terms
from lit_experiments.experiments.pos.groups import Groups
from lit_experiments.experiments.pos.outcomes import Outcomes
from lit_experiments.statistics import GroupBootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prefixes:
    """The prefixes with enough usable draws. forecast, prior: [prefix, K] probabilities of the probe, of the word's
    type; counts: [prefix, K] draws; groups: their documents, or sentences; rows: of the store, one dict each; kept:
    which rows.
    """

    forecast: Floats
    prior: Floats
    counts: NDArray[np.int64]
    groups: Groups
    rows: list[dict[str, Any]]
    kept: NDArray[np.int64]


def marked(prefixes: Prefixes, real: Terms, boot: GroupBootstrap) -> dict[str, Any] | None:
    """Uncertainty and ambiguity of words that the treebank marks as open to the left, and of the others."""
    marks = np.array([bool(row["left_ambiguous"]) for row in prefixes.rows])
    if not marks.any():
        return None
    out = {}
    for name, mask in (("marked", marks), ("not marked", ~marks)):
        weight = mask.astype(np.float64)
        columns = {"uncertainty": real.uncertainty, "ambiguity": real.ambiguity, "divergence": real.divergence}
        sums = {key: boot.sums(np.stack([value * weight, weight], 1)) for key, value in columns.items()}
        sums["share"] = boot.sums(np.stack([real.ambiguity * weight, real.loss * weight], 1))
        means = {key: boot.from_sums(value, lambda s: s[..., 0] / s[..., 1]).item() for key, value in sums.items()}
        out[name] = {"prefixes": int(mask.sum())} | means
    return out


def extremes(prefixes: Prefixes, real: Terms, count: int) -> dict[str, list[int]]:
    """Places of the most and the least explained prefixes, best and worst first; among equals, by divergence."""
    order = np.lexsort((real.divergence, -real.share))
    half = min(count, len(order) // 2)
    return {"most": order[:half].tolist(), "least": order[::-1][:half].tolist()}


def listed(prefixes: Prefixes, classes: list[str], outcomes: Outcomes) -> list[dict[str, Any]]:
    """Every prefix's numbers, in the order of the store."""
    real = terms(prefixes.forecast, prefixes.counts)
    return [
        {
            "sample_id": row["sample_id"],
            "prefix": row["prefix_text"],
            "word": row["word"],
            "true_label": row["true_label"],
            "probe": {tag: float(p) for tag, p in zip(classes, prefixes.forecast[at], strict=True) if p >= 0.005},
            "draws": {tag: int(n) for tag, n in zip(classes, prefixes.counts[at], strict=True) if n},
            "extended": int(outcomes.extended[prefixes.kept[at]]),
            "divergence": float(real.divergence[at]),
            "uncertainty": float(real.uncertainty[at]),
            "ambiguity": float(real.ambiguity[at]),
            "loss": float(real.loss[at]),
            "share": float(real.share[at]),
            "completions": outcomes.examples[prefixes.kept[at]],
        }
        for at, row in enumerate(prefixes.rows)
    ]
