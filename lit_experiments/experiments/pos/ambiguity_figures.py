"""The figures of the comparison of the probe's probabilities with the continuations' tags, as blocks.

All are of a result with prefixes that were compared.
"""

from __future__ import annotations

import numpy as np

from lit_experiments.experiments.pos.ambiguity_result import AmbiguityResult
from lit_experiments.reports.blocks import Bar, Bars, Curves, Panel, Points, Scatter, Series
from lit_experiments.reports.reliability import reliability_points


def dots(result: AmbiguityResult) -> Scatter:
    """Entropies prefix by prefix, and calibration bin by bin."""
    assert result.probe is not None
    assert result.scatter is not None
    entropies = Points(
        "Entropies",
        result.scatter.uncertainty,
        result.scatter.ambiguity,
        label=[prefix.prefix for prefix in result.listed],
        x_name="of the probe (nats)",
        y_name="of the continuations' tags (nats)",
    )
    axes = ("the probe's probability of a tag", "share of the continuations")
    calibration = reliability_points(result.probe.reliability, "Calibration", *axes)
    caption = (
        "Left: entropy of the probe's probabilities and of the continuations' tags, a dot per prefix. Right: share of "
        "the continuations with a tag against the probability that the probe gives it, all tags of all prefixes in "
        "bins; the area of a dot is its share of these. Dashed: where both are equal."
    )
    return Scatter("agreement", caption, "probe", "continuations", [entropies, calibration], identity=True)


def distribution(result: AmbiguityResult) -> Curves:
    """Which share of the prefixes has at most a given divergence."""
    assert result.scatter is not None
    values = sorted(result.scatter.divergence)
    shares = [(rank + 1) / len(values) for rank in range(len(values))]
    panel = Panel("", [Series("probe", values, shares)], "share of the prefixes", bounds=(0, 1))
    caption = "Share of the prefixes whose divergence is at most so large."
    return Curves("divergence_distribution", caption, "Jensen-Shannon divergence (nats)", [panel])


def means(result: AmbiguityResult) -> Bars:
    """The mean divergences that the probe's is compared with."""
    probe, prior = result.probe, result.prior
    assert probe is not None
    assert prior is not None
    assert result.shuffled is not None
    assert result.floor is not None
    known = [value for value in result.shuffled.divergence if np.isfinite(value)]
    bars = [Bar("probe", probe.divergence), Bar("type's prior", prior.divergence)]
    bars += [Bar("shuffled pairs", float(np.mean(known)))] if known else []
    bars.append(Bar("sampling alone", float(np.mean(result.floor))))
    caption = "Mean divergence of the probe, of the type's prior, of shuffled pairs and of sampling alone."
    return Bars("divergences", caption, "Jensen-Shannon divergence (nats)", bars)
