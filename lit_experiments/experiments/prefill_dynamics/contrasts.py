"""Paired statistics: two conditions read by one model, or one condition read by two.

Owns: which texts are paired, cutting both to one length, what is averaged over layers, the correction over layers.
Does not know: stores, figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lit_experiments.experiments.prefill_dynamics.formulas import METRICS, Floats, metrics
from lit_experiments.experiments.prefill_dynamics.repetition import (
    CONTROLLED,
    Repetition,
    controlled,
    distinct,
    loops,
)
from lit_experiments.experiments.prefill_dynamics.trajectories import Trajectory
from lit_experiments.statistics import GroupBootstrap, Paired, holm, paired

LEAST_TOKENS = 2  # a single token moves nowhere
ByParagraph = Mapping[str, Trajectory]


@dataclass(frozen=True)
class Variant:
    """cut: both texts of a pair to the length of the shorter; sinks: whether sink tokens count."""

    cut: bool
    sinks: bool

    @property
    def name(self) -> str:
        return f"{'cut' if self.cut else 'full length'}{'' if self.sinks else ', without sinks'}"


VARIANTS = tuple(Variant(cut, sinks) for cut in (True, False) for sinks in (True, False))


@dataclass(frozen=True)
class Resampling:
    """The bootstrap's settings."""

    resamples: int
    level: float
    seed: int

    def over(self, groups: Sequence[str]) -> GroupBootstrap:
        return GroupBootstrap(np.array(groups, str), resamples=self.resamples, level=self.level, seed=self.seed)


@dataclass(frozen=True)
class Contrast:
    """a - b over paragraphs.

    Attributes:
        paragraphs: that both sides have, in order; left_out: rows without enough tokens, by name.
        ce, ce_text: cross-entropy of the continuation (cut alike) and of the whole text.
        over_layers: by metric, of the mean over layers.
        layers: by metric and layer; empty where the two models' layers do not correspond.
        p_holm, p_w_holm: by metric and layer, corrected over layers.
        repetition: of both sides' texts, and the difference in smoothness with it controlled for.
        values: by metric, the two sides' means over layers [2, paragraph]; "ce" likewise. Not written to JSON.
    """

    a: str
    b: str
    variant: Variant
    paragraphs: list[str]
    left_out: list[str]
    ce: Paired
    ce_text: Paired
    over_layers: dict[str, Paired]
    layers: dict[str, list[Paired]]
    p_holm: dict[str, list[float]]
    p_w_holm: dict[str, list[float]]
    repetition: Repetition
    values: dict[str, Floats] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single values."""
        return {key: value for key, value in vars(self).items() if key != "values"}

    @property
    def name(self) -> str:
        """'human - model'."""
        return f"{self.a} - {self.b}"


def by_condition(found: Sequence[Trajectory]) -> dict[str, dict[str, Trajectory]]:
    """condition -> paragraph -> trajectory, both in the order of the rows."""
    out: dict[str, dict[str, Trajectory]] = {}
    for each in found:
        out.setdefault(each.condition, {})[each.paragraph_id] = each
    return out


def contrast(
    names: tuple[str, str], a: ByParagraph, b: ByParagraph, variant: Variant, how: Resampling, same_layers: bool = True
) -> Contrast:
    """Compares the texts of the paragraphs that both sides hold.

    same_layers: whether the two sides' layers correspond; where not, only means over layers are compared.
    """
    common = [p for p in a if p in b]
    short = [t.row for p in common for t in (a[p], b[p]) if t.steps.tokens < LEAST_TOKENS]
    kept = [p for p in common if min(a[p].steps.tokens, b[p].steps.tokens) >= LEAST_TOKENS]
    sides = [_measured(kept, one, other, variant) for one, other in ((a, b), (b, a))]
    boot = how.over(kept)
    groups = np.array(kept, str)

    def compare(x: Floats, y: Floats) -> Paired:
        return paired(x, y, groups, boot, how.seed)

    first, second = ({name: layer_mean(side[name]) for name in METRICS} for side in sides)
    layers = {
        name: [compare(x, y) for x, y in zip(sides[0][name].T, sides[1][name].T, strict=True)] if same_layers else []
        for name in METRICS
    }
    values = {name: np.stack([first[name], second[name]]) for name in METRICS}
    values["ce"] = np.stack([side["ce"] for side in sides])
    shares = np.stack([side["distinct"] for side in sides])
    looping = np.array([[loops(side[p].ids) for p in kept] for side in (a, b)], bool).reshape(2, len(kept))
    return Contrast(
        *names,
        variant,
        kept,
        short,
        compare(*values["ce"]),
        compare(*(side["ce_text"] for side in sides)),
        {name: compare(first[name], second[name]) for name in METRICS},
        layers,
        {name: holm([each.p for each in found]).tolist() for name, found in layers.items()},
        {name: holm([each.p_w for each in found]).tolist() for name, found in layers.items()},
        controlled(values["smoothness"], shares, looping, groups, boot, how.seed),
        values,
    )


def layer_mean(by_layer: Floats) -> Floats:
    """[paragraph, layer] -> [paragraph]; NaN where a layer has none, since a mean of fewer layers is another mean."""
    return by_layer.mean(1)


def _measured(paragraphs: Sequence[str], own: ByParagraph, other: ByParagraph, variant: Variant) -> dict[str, Floats]:
    """Each metric [paragraph, layer], and "ce", "ce_text", "distinct" [paragraph], of one side."""
    found: dict[str, list[Any]] = {name: [] for name in [*METRICS, "ce", "ce_text", "distinct"]}
    for paragraph in paragraphs:
        one = own[paragraph]
        upto = min(one.steps.tokens, other[paragraph].steps.tokens) if variant.cut else None
        for name, values in metrics(one.steps, upto, None if variant.sinks else one.sinks).items():
            found[name].append(values)
        found["ce"].append(one.ce_mean(upto))
        found["ce_text"].append(one.ce_text)
        found["distinct"].append(distinct(one.ids[:upto], CONTROLLED))
    layers = own[paragraphs[0]].steps.norms.shape[0] if paragraphs else 0
    shapes = {name: (len(paragraphs), layers) if name in METRICS else (len(paragraphs),) for name in found}
    return {name: np.array(values, np.float64).reshape(shapes[name]) for name, values in found.items()}
