"""All that one analysis finds: what result.json holds, and what the page and the other JSON files are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import LEAST_TOKENS, Contrast, Variant
from lit_experiments.experiments.prefill_dynamics.interpretation import Interpretation
from lit_experiments.experiments.prefill_dynamics.levels import Levels
from lit_experiments.experiments.prefill_dynamics.paragraph_split import Counts
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.surprise import Correlations, Move, TokenLevel


@dataclass(frozen=True)
class Row:
    """One text at full length.

    tokens: of the continuation. ce_continuation, ce_text: mean nats per token. sink_tokens: by layer. distinct_n,
    loops: see `repetition`. layers: each metric by layer.
    """

    sample_id: str
    condition: str
    tokens: int
    ce_continuation: float
    ce_text: float
    sink_tokens: list[int]
    distinct_1: float
    distinct_2: float
    distinct_3: float
    loops: bool
    layers: dict[str, list[float]]

    @property
    def counts(self) -> bool:
        """Whether the text has enough tokens to be in any statistic."""
        return self.tokens >= LEAST_TOKENS

    @property
    def smoothness(self) -> float:
        """Mean over layers."""
        return float(np.mean(self.layers["smoothness"]))


@dataclass(frozen=True)
class Endings:
    """Generated continuations of one condition: how many there are, and how many the model ended by itself."""

    texts: int
    ended: int


@dataclass(frozen=True)
class NormPath:
    """Norms along one continuation. tokens: their texts; norms, sinks: [layer of the example][token]."""

    condition: str
    tokens: list[str]
    norms: list[list[float]]
    sinks: list[list[bool]]


@dataclass(frozen=True)
class Example:
    """The continuations of one paragraph at an early, a middle and the last layer."""

    paragraph_id: str
    layers: list[str]
    paths: list[NormPath]


@dataclass(frozen=True)
class Findings:
    """What one store, and its other readers, show.

    Attributes:
        reader, generator: models that read and wrote; max_new_tokens: written at most.
        paragraph_counts: what became of the source's paragraphs when texts were collected.
        layers: names. cut, sink_factor: as set.
        endings: by generated condition. conditions: means by condition. contrasts: every pair in every variant.
        correlations: as from `text_correlations`; tokens: by condition; moving_tokens: those that move most.
        example: the paragraph whose difference in smoothness is closest to the median one; None without any.
        rows: every row of the store, those without enough tokens too.
    """

    interval_level: float
    reader: str
    generator: str
    max_new_tokens: int
    paragraph_counts: Counts
    layers: list[str]
    cut: bool
    sink_factor: float
    endings: dict[str, Endings]
    conditions: dict[str, Levels]
    contrasts: list[Contrast]
    correlations: Correlations
    tokens: dict[str, TokenLevel]
    moving_tokens: dict[str, dict[str, list[Move]]]
    interpretation: Interpretation
    readers: list[Reader]
    example: Example | None
    rows: list[Row]

    @property
    def main_variant(self) -> Variant:
        """The variant that counts."""
        return Variant(self.cut, sinks=True)

    @property
    def main(self) -> list[Contrast]:
        """Every pair in the main variant."""
        return [c for c in self.contrasts if c.variant == self.main_variant]

    @property
    def headline(self) -> Contrast | None:
        """Human and model text in the main variant; None where one of them is missing."""
        return headline(self.main)

    @property
    def excluded(self) -> list[str]:
        """Rows whose continuation has fewer than two tokens: in no statistic."""
        return [row.sample_id for row in self.rows if not row.counts]


def headline(contrasts: list[Contrast]) -> Contrast | None:
    """The pair of human and model text among these; None where there is none."""
    return next((c for c in contrasts if (c.a, c.b) == (HUMAN, MODEL)), None)
