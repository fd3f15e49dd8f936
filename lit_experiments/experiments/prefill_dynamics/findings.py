"""All that one analysis found, as the report and the JSON files need it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import LEAST_TOKENS, Contrast
from lit_experiments.experiments.prefill_dynamics.levels import Levels
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.surprise import TokenLevel
from lit_experiments.experiments.prefill_dynamics.trajectories import Trajectory
from lit_experiments.statistics import Correlation
from stores import Store


@dataclass(frozen=True)
class Findings:
    """What was found in one store, and in its other readers.

    Attributes:
        layers: names; level: of all intervals; sink_factor, cut: as set.
        rows: every row of the store, those without enough tokens too.
        levels: by condition. contrasts: every pair in every variant; main: every pair in the main variant.
        correlations: as from `text_correlations`; tokens: by condition; moving: tokens that move most, by condition.
        verdict, sentences: what the comparison of human and model text says.
    """

    store: Store
    layers: list[str]
    level: float
    sink_factor: float
    cut: bool
    rows: list[Trajectory]
    levels: dict[str, Levels]
    contrasts: list[Contrast]
    main: list[Contrast]
    correlations: dict[str, dict[str, dict[str, Correlation]]]
    tokens: dict[str, TokenLevel]
    moving: dict[str, dict[str, list[dict[str, Any]]]]
    verdict: str | None
    sentences: list[str]
    readers: list[Reader]

    @property
    def headline(self) -> Contrast | None:
        """Human against model text in the main variant; None where one of them is missing."""
        return next((c for c in self.main if (c.a, c.b) == (HUMAN, MODEL)), None)

    @property
    def excluded(self) -> list[str]:
        """Rows whose continuation has fewer than two tokens: in no statistic."""
        return [t.row for t in self.rows if t.steps.tokens < LEAST_TOKENS]

    @property
    def counts(self) -> dict[str, int]:
        """What became of the source's paragraphs when texts were collected."""
        return dict(self.store.fingerprint["settings"]["paragraph_counts"])

    @property
    def stops(self) -> dict[str, Counter[str]]:
        """condition -> why generating ended -> how many texts."""
        out: dict[str, Counter[str]] = {}
        table = self.store.table(["condition", "stop_reason"]).to_pydict()
        for condition, reason in zip(table["condition"], table["stop_reason"], strict=True):
            if reason is not None:
                out.setdefault(condition, Counter())[reason] += 1
        return out
