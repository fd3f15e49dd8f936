"""What the analysis of the attribution finds. All contributions in logits, to logit[taken] minus logit[second]."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Parts:
    """Mean contributions over points: [layer] of whole layers, their attention and their MLP; and the embedding's."""

    layers: list[Estimate]
    attention: list[Estimate]
    mlp: list[Estimate]
    embed: Estimate


@dataclass(frozen=True)
class Shares:
    """Totals over all layers, over the total difference."""

    attention: Estimate
    mlp: Estimate


@dataclass(frozen=True)
class AttributedPoint:
    """One branching point, as the store has it; lists are by layer. raw: without the final norm; frozen: through it,
    with its statistics held fixed; residual: what rounding leaves of the difference."""

    problem_id: str
    position: int
    rank: int
    distance: float
    first_text: str
    second_text: str
    first_token: int
    second_token: int
    difference: float
    capped_difference: float
    raw_embed: float
    frozen_embed: float
    bias: float
    residual: float
    raw_layers: list[float]
    raw_attention: list[float]
    raw_mlp: list[float]
    frozen_layers: list[float]
    frozen_attention: list[float]
    frozen_mlp: list[float]


@dataclass(frozen=True)
class AttributionResult:
    """largest_*: how far, at worst, the parts are from the whole, attention and MLP from their layer, and the soft cap
    moves the difference; layers: their number; frozen, raw, bias, difference: means over points, intervals over
    problems; points: all of them, the farthest first."""

    interval_level: float
    largest_residual: float
    largest_relative_residual: float
    largest_rest: float
    largest_effect_of_the_cap: float
    layers: int
    problems: int
    frozen: Parts
    raw: Parts
    bias: Estimate
    difference: Estimate
    shares: Shares
    points: list[AttributedPoint]
