"""What the analysis of distances to oracle solutions finds. ByLayer: one estimate per stored layer, over problems."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.statistics import Estimate

ByLayer = list[Estimate]


@dataclass(frozen=True)
class ShareDistances:
    """Of the completions that begin with one share of their oracle (0: free).

    problems: how many; forced_tokens: mean length of the prefix; verdicts: completions by verdict on their answer;
    without_latent: completions shorter than the stride; repeat_the_oracle: (completions that do so token for token,
    completions).
    own, relative: by class of completion (all, correct, incorrect), the distance to the problem's oracle, and that over
    `other`, the mean distance to other problems' oracles. correct_less_incorrect: difference of the relative distances
    within problems that have both; nearest: share of completions to which no other oracle is nearer.
    """

    share: float
    problems: int
    forced_tokens: float
    verdicts: dict[str, int]
    without_latent: int
    repeat_the_oracle: tuple[int, int]
    own: dict[str, ByLayer]
    other: ByLayer
    relative: dict[str, ByLayer]
    correct_less_incorrect: ByLayer
    nearest: ByLayer


@dataclass(frozen=True)
class Drift:
    """Relative distances to the oracle behind the end of one forced prefix.

    windows: how many; curves: by kind of completion, [window]; growth: by kind, least-squares slope per window.
    """

    share: float
    windows: int
    curves: dict[str, list[ByLayer]]
    growth: dict[str, ByLayer]


@dataclass(frozen=True)
class ManifoldResult:
    """shown: place of the layer that the page shows; stride, window_tokens: of the collection, in tokens; shares: free
    first, then every forced share; drift: behind every forced one."""

    interval_level: float
    layers: list[str]
    shown: int
    stride: int
    window_tokens: int
    verdicts: dict[str, int]
    shares: list[ShareDistances]
    drift: list[Drift]
