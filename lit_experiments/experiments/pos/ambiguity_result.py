"""What the comparison of the probe's probabilities with the continuations' tags finds."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.pos.agreement import Agreement, Shuffled
from lit_experiments.experiments.pos.prefixes import Marked, PrefixNumbers
from lit_experiments.experiments.pos.tagger import Accuracy
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Generation:
    """How prefixes were chosen (conf_thresh, part, order) and continued."""

    num_samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    conf_thresh: float
    part: str
    order: str


@dataclass(frozen=True)
class PValues:
    """(1 + shuffled pairings at least as good) / (1 + pairings)."""

    divergence: float
    share: float
    entropies: float
    calibration_error: float


@dataclass(frozen=True)
class Dots:
    """[prefix] entropy of the probe, of the continuations' tags, and divergence, nats."""

    uncertainty: list[float]
    ambiguity: list[float]
    divergence: list[float]


@dataclass(frozen=True)
class AmbiguityResult:
    """Probe and continuations.

    tagger_test: accuracy on the treebank's test part, None without one; tagger_on_targets: on the target words in the
    treebank's own sentences. prefixes_used: with at least `min_draws` usable draws; the other numbers are of these.
    documents_from, groups, too_few: of these, in words; unit: what the bootstrap resamples.
    extended_share: of all draws; outside_share: of the usable draws, whose tag is none of the probe's.
    From `probe` on None where no prefix is left: agreement of the probe, of the word type's prior, and of shuffled
    pairs; p: of the probe against these. floor: [simulation] mean divergence that sampling alone gives. below_prior:
    mean divergence of the probe minus that of the prior. marked: by whether the treebank marks the word as open.
    shown: places among the prefixes of the "most" and the "least" explained. listed: every prefix.
    """

    classes: list[str]
    layer: str
    generation: Generation
    tagger: str
    tagger_test: Accuracy | None
    tagger_on_targets: Estimate
    prefixes: int
    prefixes_used: int
    documents: int
    documents_from: str
    unit: str
    groups: str
    too_few: list[str]
    draws: int
    extended: str
    extended_share: float
    outside_share: float
    usable_draws: float
    min_draws: int
    interval_level: float
    permutations: int
    bins: int
    type_weight: float
    probe: Agreement | None
    prior: Agreement | None
    shuffled: Shuffled | None
    p: PValues | None
    floor: list[float] | None
    below_prior: Estimate | None
    marked: dict[str, Marked] | None
    scatter: Dots | None
    shown: dict[str, list[int]] | None
    listed: list[PrefixNumbers]
