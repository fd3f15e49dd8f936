"""The prefixes that count, with forecasts and draws side by side: who among them is marked, shown, listed.

Does not know: taggers, reports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.agreement import Draws, Terms
from lit_experiments.experiments.pos.groups import Groups
from lit_experiments.experiments.pos.outcomes import Outcomes
from lit_experiments.experiments.pos.resample_schema import Resampled
from lit_experiments.statistics import Estimate, GroupBootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prefixes:
    """The prefixes with enough usable draws. forecast, prior: [prefix, K] probabilities of the probe, of the word's
    type; draws: their continuations' tags; groups: their documents, or sentences; rows: of the store; places: which
    rows.
    """

    forecast: Floats
    prior: Floats
    draws: Draws
    groups: Groups
    rows: list[Resampled]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Marked:
    """Means over some of the prefixes: entropy of the probe, of the continuations' tags, divergence (nats), share
    explained."""

    prefixes: int
    uncertainty: Estimate
    ambiguity: Estimate
    divergence: Estimate
    share: Estimate


@dataclass(frozen=True)
class PrefixNumbers:
    """One prefix. probe: probabilities of 0.005 or more; draws: by tag; extended: draws in which the word goes on;
    divergence, uncertainty, ambiguity, loss, share: see `agreement`; completions: the first one that gave each tag."""

    sample_id: str
    prefix: str
    word: str
    true_label: str
    probe: dict[str, float]
    draws: dict[str, int]
    extended: int
    divergence: float
    uncertainty: float
    ambiguity: float
    loss: float
    share: float
    completions: dict[str, str]


def marked(prefixes: Prefixes, real: Terms, boot: GroupBootstrap) -> dict[str, Marked] | None:
    """Uncertainty and ambiguity of words that the treebank marks as open to the left, and of the others."""
    marks = np.array([bool(row.left_ambiguous) for row in prefixes.rows])
    if not marks.any():
        return None
    return {name: _marked(mask, real, boot) for name, mask in (("marked", marks), ("not marked", ~marks))}


def _marked(mask: NDArray[np.bool_], real: Terms, boot: GroupBootstrap) -> Marked:
    weight = mask.astype(np.float64)
    names = ("uncertainty", "ambiguity", "divergence")
    means = {name: boot.ratio(getattr(real, name) * weight, weight).item() for name in names}
    return Marked(int(mask.sum()), **means, share=boot.ratio(real.ambiguity * weight, real.loss * weight).item())


def extremes(prefixes: Prefixes, real: Terms, count: int) -> dict[str, list[int]]:
    """Places of the most and the least explained prefixes, best and worst first; among equals, by divergence."""
    order = np.lexsort((real.divergence, -real.share))
    half = min(count, len(order) // 2)
    return {"most": order[:half].tolist(), "least": order[::-1][:half].tolist()}


def listed(prefixes: Prefixes, real: Terms, classes: list[str], outcomes: Outcomes) -> list[PrefixNumbers]:
    """Every prefix's numbers, in the order of the store."""
    names = ("divergence", "uncertainty", "ambiguity", "loss", "share")
    values = {name: getattr(real, name).tolist() for name in names}
    return [
        PrefixNumbers(
            sample_id=row.sample_id,
            prefix=row.prefix_text,
            word=row.word,
            true_label=row.true_label,
            probe={tag: float(p) for tag, p in zip(classes, prefixes.forecast[place], strict=True) if p >= 0.005},
            draws={tag: int(n) for tag, n in zip(classes, prefixes.draws.counts[place], strict=True) if n},
            extended=int(outcomes.extended[prefixes.places[place]]),
            **{name: values[name][place] for name in names},
            completions=outcomes.examples[prefixes.places[place]],
        )
        for place, row in enumerate(prefixes.rows)
    ]
