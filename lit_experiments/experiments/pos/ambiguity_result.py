"""What the comparison of the probe's probabilities with the continuations' tags finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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
    """(1 + shuffled pairings at least as good) / (1 + pairings), of the four together (max-T)."""

    divergence: float
    share: float
    entropies: float
    calibration_error: float


@dataclass(frozen=True)
class TaggerErrors:
    """What is known of the tagger's errors, and what they made of the share explained.

    words: held-out gold words, of `parts`; right: share of right tags among those of the prefixes' kinds (types with
    the same tags in training), each kind as often as it comes among the prefixes. uncorrected: the probe's share
    explained with the tags as the tagger gives them.
    """

    words: int
    parts: list[str]
    right: float
    uncorrected: Estimate


@dataclass(frozen=True)
class Dots:
    """[prefix] entropy of the probe, of the continuations' tags, and divergence, nats."""

    uncertainty: list[float]
    ambiguity: list[float]
    divergence: list[float]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was set: of the probe, of the continuations, of the comparison."""

    classes: list[str]
    layer: str
    generation: Generation
    extended: str
    min_draws: int
    interval_level: float
    permutations: int
    bins: int
    type_weight: float


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Which prefixes and draws count. By default nothing was resampled.

    tagger_test: accuracy on the treebank's test part, None without one; tagger_on_targets: on the target words in the
    treebank's own sentences. prefixes_used: with at least `min_draws` usable draws; the other numbers are of these.
    documents_from, groups, too_few: of these, in words; unit: what intervals are over.
    extended_share: of all draws; outside_share: of the usable draws, whose tag is none of the probe's.
    """

    tagger: str = "none was needed"
    tagger_test: Accuracy | None = None
    tagger_on_targets: Estimate
    prefixes: int = 0
    prefixes_used: int = 0
    documents: int = 0
    documents_from: str
    unit: str
    groups: str
    too_few: list[str] = field(default_factory=list)
    draws: int = 0
    extended_share: float = math.nan
    outside_share: float = math.nan
    usable_draws: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Probe and continuations; None where no prefix is left.

    tagger_errors: None where no gold words are held out, and nothing is corrected.
    probe, prior, shuffled: agreement of the probe, of the word type's prior, and of shuffled pairs; p: of the probe
    against these. floor: [simulation] mean divergence that sampling alone gives. below_prior: mean divergence of the
    probe minus that of the prior. marked: by whether the treebank marks the word as open. shown: places among the
    prefixes of the "most" and the "least" explained.
    """

    tagger_errors: TaggerErrors | None = None
    probe: Agreement | None = None
    prior: Agreement | None = None
    shuffled: Shuffled | None = None
    p: PValues | None = None
    floor: list[float] | None = None
    below_prior: Estimate | None = None
    marked: dict[str, Marked] | None = None
    scatter: Dots | None = None
    shown: dict[str, list[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class AmbiguityResult(Compared, Counted, Setting):
    """What was set, which prefixes and draws count, and how they compare. listed: every prefix."""

    listed: list[PrefixNumbers]
