"""What the analysis of steering finds. Means over prompts; a prompt's number is the mean over its completions."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Dose:
    """One direction at one strength, and the same less strength 0, paired by prompt.

    strength: multiples of the natural spread; None where the direction is taken out. readings: by reading site, what
    the probe reads there; moved: minus that of the model as it is; text_moved: the same where
    the model as it is reads the finished text. log_perplexity: mean of -log p of a token under the
    model as it is, nats; perplexity: its exponential. distinct: share of distinct 2-grams. looping: share of
    completions that end in a loop. completions: how many.
    """

    strength: float | None
    readings: list[Estimate]
    moved: list[Estimate]
    text_moved: list[Estimate]
    perplexity: Estimate
    log_perplexity_moved: Estimate
    distinct: Estimate
    distinct_moved: Estimate
    looping: Estimate
    looping_moved: Estimate
    completions: int
    fluent: bool


@dataclass(frozen=True)
class Response:
    """How the readings follow the strength, by reading site.

    slope: of each prompt's least-squares line, reading over strength; spearman: of each prompt's doses; text_slope,
    text_spearman: the same of the finished text, read by the model as it is. Means over prompts; NaN with fewer than
    three strengths, 0 counted.
    """

    slope: list[Estimate]
    spearman: list[Estimate]
    text_slope: list[Estimate]
    text_spearman: list[Estimate]


@dataclass(frozen=True)
class DirectionResult:
    """One direction at one set of layers. doses: by strength, strength 0 among them, the ablation last."""

    direction: str
    doses: list[Dose]
    response: Response
    fluent_from: float
    fluent_to: float


@dataclass(frozen=True)
class LayerSetResult:
    """One set of steered layers.

    amounts: what strength 1 adds at each of them, in the units of the states. carried: by reading site, the slope that
    there would be if later blocks carried the push on and did nothing else. directions: the probe's first.
    against_random: by reading site, the probe's slope minus the mean size of the random directions' slopes, paired by
    prompt; text_against_random: the same of the finished text; both empty without random directions. ablation: by
    reading site, the probe's shift by ablation minus the random ones' mean shift; empty without either.
    """

    layers: list[str]
    amounts: list[float]
    carried: list[float]
    directions: list[DirectionResult]
    against_random: list[Estimate]
    text_against_random: list[Estimate]
    ablation: list[Estimate]


@dataclass(frozen=True)
class SampleText:
    """Completions of one prompt at one dose."""

    layers: str
    prompt: str
    strength: float | None
    text: str
    reading: float
    perplexity: float


@dataclass(frozen=True)
class SteeringResult:
    """Dose-response of every set of layers.

    output: the class or target that the direction is of. sites: where the probe reads; baseline: the model as it is.
    """

    interval_level: float
    output: str
    prompts: int
    groups: int
    completions: int
    sites: list[str]
    strengths: list[float]
    baseline: Dose
    sets: list[LayerSetResult]
    examples: list[SampleText]
