"""How what a model writes and computes follows the strength with which it is steered.

    lit-experiments analyze --exp steering --run runs/steering

Dose-response of the probe's readings at the steered and later layers, of perplexity and of repetition, paired by prompt
with strength 0, next to random directions; the range of strengths in which text stays fluent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.steering.conditions import NONE, PROBE
from lit_experiments.experiments.steering.examples import sample_texts
from lit_experiments.experiments.steering.measures import (
    Conditions,
    Floats,
    Measured,
    fluent_range,
    measure,
    slopes,
    spearman,
)
from lit_experiments.experiments.steering.page import FluencyRule, steering_page
from lit_experiments.experiments.steering.result import (
    DirectionResult,
    Dose,
    LayerSetResult,
    Response,
    SteeringResult,
)
from lit_experiments.ranges import above, at_least
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened

_BASELINE = ("", NONE, 0.0)


@dataclass(frozen=True, kw_only=True)
class SteeringAnalysis(AnalyzeTask[SteeringResult]):
    """Dose-response of steering; intervals over prompts (the same text twice is one).

    Args:
        fluent_perplexity: A dose is fluent if the perplexity of what is written grows by no more than this factor over
            that of strength 0.
        fluent_repetition: And if the share of distinct 2-grams falls by no more than this, and that of looping texts
            grows by no more.
        examples: Prompts whose texts are shown at every strength.
    """

    fluent_perplexity: float
    fluent_repetition: float
    examples: int

    reads: ClassVar[Reads] = Reads(
        "steering", ("unsteered_reading", "distinct", "direction", "strength"), versions=(1, 2)
    )
    result_type: ClassVar[type] = SteeringResult

    def check(self) -> None:
        above(1, fluent_perplexity=self.fluent_perplexity)
        at_least(0, fluent_repetition=self.fluent_repetition, examples=self.examples)

    def check_data(self, data: Opened) -> None:
        """Raises UserError where no prompt has all its conditions."""
        if not measure(data.store).text:
            raise UserError(
                f"{data.store.path}: no prompt has been continued under all conditions yet.\n"
                f"Next: go on with lit-experiments collect --config {data.run / 'config.yaml'} --run {data.run}"
            )

    def result(self, data: Opened) -> SteeringResult:
        """Compares every condition with the model as it is."""
        arms = measure(data.store)
        boot = self.resampler(arms.text)
        sets = list(dict.fromkeys(layers for layers, direction, _ in arms.by if direction != NONE))
        strengths = sorted({s for _, _, s in arms.by if s is not None})
        draws = data.store["completion_length"].shape[1]
        baseline = self._dose(arms.by[_BASELINE], arms.by[_BASELINE], boot, 0.0, draws)
        return SteeringResult(
            interval_level=LEVEL,
            output=data.setting("class"),
            prompts=len(arms.text),
            groups=boot.n,
            completions=draws,
            sites=[str(site) for site in data.store.schema.coords["site"]],
            strengths=strengths,
            baseline=baseline,
            sets=[self._set(arms, boot, layers, strengths, baseline, data) for layers in sets],
            examples=sample_texts(data.store, arms, sets, self.examples),
        )

    def page(self, result: SteeringResult, data: Opened) -> Page:
        """What came out, by strength."""
        rule = FluencyRule(self.fluent_perplexity, self.fluent_repetition)
        return steering_page(result, rule, is_demonstration(data.store))

    def _set(
        self,
        arms: Conditions,
        boot: GroupBootstrap,
        layers: str,
        strengths: list[float],
        baseline: Dose,
        data: Opened,
    ) -> LayerSetResult:
        names = list(dict.fromkeys(direction for other, direction, _ in arms.by if other == layers))
        first, dose = next(((rows[0], key[2]) for key, rows in arms.rows.items() if key[:2] == (layers, PROBE)))
        columns = data.store.select(slice(first, first + 1)).table(["spreads", "carried"]).to_pylist()[0]
        return LayerSetResult(
            layers=layers.split("+"),
            amounts=columns["spreads"],
            carried=[push / dose for push in columns["carried"]] if dose else [],
            directions=[self._direction(arms, boot, layers, name, strengths, baseline) for name in names],
            against_random=_against_random(arms, boot, layers, names, strengths, "reading"),
            text_against_random=_against_random(arms, boot, layers, names, strengths, "text_reading"),
            ablation=_ablation(arms, boot, layers, names),
        )

    def _direction(
        self,
        arms: Conditions,
        boot: GroupBootstrap,
        layers: str,
        name: str,
        strengths: list[float],
        baseline: Dose,
    ) -> DirectionResult:
        plain, draws = arms.by[_BASELINE], baseline.completions
        doses = [
            self._dose(arms.by[layers, name, s], plain, boot, s, draws) if s else baseline
            for s in strengths
            if not s or (layers, name, s) in arms.by
        ]
        rising = [dose.strength or 0.0 for dose in doses]
        low, high = fluent_range(rising, [dose.fluent for dose in doses])
        if (layers, name, None) in arms.by:
            doses.append(self._dose(arms.by[layers, name, None], plain, boot, None, draws))
        response: list[list[Estimate]] = []
        for measured in ("reading", "text_reading"):
            readings = _by_strength(arms, layers, name, strengths, measured)
            response.append(boot.mean(slopes(np.array(rising), readings)).tolist())
            response.append(boot.mean(spearman(np.array(rising), readings), GAP).tolist())
        return DirectionResult(name, doses, Response(*response), low, high)

    def _dose(
        self, measured: Measured, plain: Measured, boot: GroupBootstrap, strength: float | None, draws: int
    ) -> Dose:
        moved = boot.difference(measured.log_perplexity, plain.log_perplexity).item()
        distinct = boot.difference(measured.distinct, plain.distinct, GAP).item()
        looping = boot.difference(measured.looping, plain.looping, GAP).item()
        return Dose(
            strength=strength,
            readings=boot.mean(measured.reading).tolist(),
            moved=boot.difference(measured.reading, plain.reading).tolist(),
            text_moved=boot.difference(measured.text_reading, plain.text_reading).tolist(),
            perplexity=boot.mean(measured.log_perplexity).item().mapped(math.exp),
            log_perplexity_moved=moved,
            distinct=boot.mean(measured.distinct, SHARE).item(),
            distinct_moved=distinct,
            looping=boot.mean(measured.looping, SHARE).item(),
            looping_moved=looping,
            completions=draws,
            fluent=self._is_fluent(moved, distinct, looping),
        )

    def _is_fluent(self, moved: Estimate, distinct: Estimate, looping: Estimate) -> bool:
        """By the values themselves; missing 2-grams (texts of one token) are no repetition."""
        fewer = 0.0 if math.isnan(distinct.value) else -distinct.value
        return (
            moved.value <= math.log(self.fluent_perplexity)
            and fewer <= self.fluent_repetition
            and looping.value <= self.fluent_repetition
        )


def _by_strength(arms: Conditions, layers: str, name: str, strengths: list[float], measured: str) -> Floats:
    """[prompt, strength, site] `reading` or `text_reading`, the model as it is at 0."""
    keys = [(layers, name, s) if s else _BASELINE for s in strengths]
    return np.stack([getattr(arms.by[key], measured) for key in keys if key in arms.by], axis=1)


def _against_random(
    arms: Conditions, boot: GroupBootstrap, layers: str, names: list[str], strengths: list[float], measured: str
) -> list[Estimate]:
    """By site: the probe's slope minus the mean size of the random directions'."""
    random = [name for name in names if name != PROBE]
    if not random:
        return []
    x = np.array(strengths)
    probe_slopes = slopes(x, _by_strength(arms, layers, PROBE, strengths, measured))
    theirs = [np.abs(slopes(x, _by_strength(arms, layers, name, strengths, measured))) for name in random]
    difference: list[Estimate] = boot.difference(probe_slopes, np.mean(theirs, axis=0)).tolist()
    return difference


def _ablation(arms: Conditions, boot: GroupBootstrap, layers: str, names: list[str]) -> list[Estimate]:
    """By site: how much further the probe's ablation moves the reading than the random directions'."""
    random = [name for name in names if name != PROBE and (layers, name, None) in arms.by]
    if not random or (layers, PROBE, None) not in arms.by:
        return []
    theirs = np.mean([arms.by[layers, name, None].reading for name in random], axis=0)
    difference: list[Estimate] = boot.difference(arms.by[layers, PROBE, None].reading, theirs).tolist()
    return difference
