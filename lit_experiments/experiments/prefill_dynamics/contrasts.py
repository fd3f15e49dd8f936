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
)
from lit_experiments.experiments.prefill_dynamics.trajectories import Trajectory
from lit_experiments.statistics import LEVEL, GroupBootstrap, Paired, holm, paired
from lit_experiments.statistics.repetition import distinct, loops

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
    """The bootstrap's settings; the level is the project's."""

    resamples: int
    seed: int

    def over(self, groups: Sequence[str]) -> GroupBootstrap:
        return GroupBootstrap(np.array(groups, str), resamples=self.resamples, level=LEVEL, seed=self.seed)


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
        values: by metric, the two sides' means over layers [2, paragraph]; "ce" likewise. Only result.json holds them.
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
    values: dict[str, list[list[float]]] = field(repr=False)

    @property
    def name(self) -> str:
        """'human - model'."""
        return f"{self.a} - {self.b}"

    def gaps(self, name: str) -> Floats:
        """[paragraph] first minus second, of one of `values`."""
        first, second = np.array(self.values[name], np.float64)
        return np.asarray(first - second)


def by_condition(rows: Sequence[Trajectory]) -> dict[str, dict[str, Trajectory]]:
    """condition -> paragraph -> trajectory, both in the order of the rows."""
    out: dict[str, dict[str, Trajectory]] = {}
    for row in rows:
        out.setdefault(row.condition, {})[row.paragraph_id] = row
    return out


def contrast(
    names: tuple[str, str],
    a: ByParagraph,
    b: ByParagraph,
    variant: Variant,
    resampling: Resampling,
    same_layers: bool = True,
) -> Contrast:
    """Compares the texts of the paragraphs that both sides hold.

    same_layers: whether the two sides' layers correspond; where not, only means over layers are compared.
    """
    common = [p for p in a if p in b]
    short = [t.row for p in common for t in (a[p], b[p]) if t.steps.tokens < LEAST_TOKENS]
    enough = [p for p in common if min(a[p].steps.tokens, b[p].steps.tokens) >= LEAST_TOKENS]
    sides = [_measured(enough, *pair, variant) for pair in ((a, b), (b, a))]
    boot = resampling.over(enough)
    groups = np.array(enough, str)

    def compare(x: Floats, y: Floats) -> Paired:
        return paired(x, y, groups, boot, resampling.seed)

    first, second = ({name: layer_mean(side[name]) for name in METRICS} for side in sides)
    layers = {
        name: [compare(x, y) for x, y in zip(sides[0][name].T, sides[1][name].T, strict=True)] if same_layers else []
        for name in METRICS
    }
    values = {name: np.stack([first[name], second[name]]) for name in METRICS}
    values["ce"] = np.stack([side["ce"] for side in sides])
    shares = np.stack([side["distinct"] for side in sides])
    looping = np.array([[loops(side[p].ids) for p in enough] for side in (a, b)], bool).reshape(2, len(enough))
    return Contrast(
        *names,
        variant,
        enough,
        short,
        compare(*values["ce"]),
        compare(*(side["ce_text"] for side in sides)),
        {name: compare(first[name], second[name]) for name in METRICS},
        layers,
        {name: holm([test.p for test in tests]).tolist() for name, tests in layers.items()},
        {name: holm([test.p_w for test in tests]).tolist() for name, tests in layers.items()},
        controlled(values["smoothness"], shares, looping, groups, boot, resampling.seed),
        {name: pair.tolist() for name, pair in values.items()},
    )


def layer_mean(by_layer: Floats) -> Floats:
    """[paragraph, layer] -> [paragraph]; NaN where a layer has none, since a mean of fewer layers is another mean."""
    return by_layer.mean(1)


def _measured(paragraphs: Sequence[str], side: ByParagraph, other: ByParagraph, variant: Variant) -> dict[str, Floats]:
    """Each metric [paragraph, layer], and "ce", "ce_text", "distinct" [paragraph], of one side."""
    measured: dict[str, list[Any]] = {name: [] for name in [*METRICS, "ce", "ce_text", "distinct"]}
    for paragraph in paragraphs:
        text = side[paragraph]
        upto = min(text.steps.tokens, other[paragraph].steps.tokens) if variant.cut else None
        for name, values in metrics(text.steps, upto, None if variant.sinks else text.sinks).items():
            measured[name].append(values)
        measured["ce"].append(text.ce_mean(upto))
        measured["ce_text"].append(text.ce_text)
        measured["distinct"].append(distinct(text.ids[:upto], CONTROLLED))
    layers = side[paragraphs[0]].steps.norms.shape[0] if paragraphs else 0
    shapes = {name: (len(paragraphs), layers) if name in METRICS else (len(paragraphs),) for name in measured}
    return {name: np.array(values, np.float64).reshape(shapes[name]) for name, values in measured.items()}
