"""One condition by itself: means over paragraphs with intervals, of surprise and of every metric at every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lit_experiments.experiments.prefill_dynamics.contrasts import Resampling
from lit_experiments.experiments.prefill_dynamics.formulas import METRICS, metrics
from lit_experiments.experiments.prefill_dynamics.repetition import ORDERS
from lit_experiments.experiments.prefill_dynamics.trajectories import Trajectory
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.intervals import SHARE
from lit_experiments.statistics.repetition import distinct, loops

_LARGEST = 700.0  # nats; exp of more is no float


@dataclass(frozen=True)
class Levels:
    """Means over the paragraphs of one condition, at full length.

    tokens: of the continuations, mean. ce, ce_text: nats, continuation and whole text. over_layers: by metric; layers:
    by metric and layer; without_sinks: as over_layers, sink tokens left out. sinks: tokens that are one in any layer.
    repetition: "distinct_n" for some n, and "loops", the share of texts that end in one.
    """

    texts: int
    tokens: float
    ce: Estimate
    ce_text: Estimate
    over_layers: dict[str, Estimate]
    without_sinks: dict[str, Estimate]
    layers: dict[str, list[Estimate]]
    sinks: int
    repetition: dict[str, Estimate]


def condition_levels(rows: Sequence[Trajectory], resampling: Resampling) -> Levels:
    """rows: of one condition, one per paragraph, each with at least two tokens."""
    boot = resampling.over([row.paragraph_id for row in rows])

    measured = [metrics(row.steps, None, None) for row in rows]
    no_sinks = [metrics(row.steps, None, row.sinks) for row in rows]
    by_layer = {name: np.stack([of_row[name] for of_row in measured]) for name in METRICS}
    without = {name: np.stack([of_row[name] for of_row in no_sinks]).mean(1) for name in METRICS}
    shares = {f"distinct_{n}": [distinct(row.ids, n) for row in rows] for n in ORDERS}
    shares["loops"] = [float(loops(row.ids)) for row in rows]
    return Levels(
        texts=len(rows),
        tokens=float(np.mean([row.steps.tokens for row in rows])),
        ce=boot.mean([row.ce_mean(None) for row in rows]).item(),
        ce_text=boot.mean([row.ce_text for row in rows]).item(),
        over_layers={name: boot.mean(values.mean(1)).item() for name, values in by_layer.items()},
        without_sinks={name: boot.mean(values).item() for name, values in without.items()},
        layers={name: boot.mean(values).tolist() for name, values in by_layer.items()},
        sinks=int(sum(row.sinks.any(0).sum() for row in rows)),
        repetition={name: boot.mean(values, SHARE).item() for name, values in shares.items()},
    )


def perplexity(ce: float) -> float:
    """exp of a cross-entropy in nats; NaN where that is no number."""
    return math.exp(ce) if ce < _LARGEST else math.nan


def of_mean(ce: Estimate) -> Estimate:
    """The perplexity of a mean cross-entropy; the interval goes along, exp being monotone."""
    return ce.mapped(perplexity)
