"""Where in the model does each quantity become readable? Emergence over layers, onsets, and the lag of confidence.

Works from the held-out predictions that `train --exp introspection_probes` left; fits nothing. The control is the same
predictions against targets permuted between the groups of test questions, the same permutations for all layers and
curves. A layer is above it if its score exceeds chance and what no layer of any curve without signal exceeds with
probability 1 - alpha (max-T); the onset is the first such layer.

    lit-experiments analyze --exp introspection_probing --run runs/introspection
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.emergence.page import emergence_page
from lit_experiments.experiments.introspection.emergence.result import (
    CurvePoint,
    EmergencePair,
    EmergenceResult,
    Lag,
    Onset,
)
from lit_experiments.experiments.introspection.passes import SELF
from lit_experiments.experiments.introspection.probe_files import ProbeAnalysis, ProbeFiles, read_probe_files
from lit_experiments.experiments.introspection.probes_result import ProbedPair
from lit_experiments.probes.permutations import shared
from lit_experiments.ranges import between, reaching
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEAST_GROUPS, LEVEL, Estimate
from lit_experiments.statistics.max_t import Family
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened

Floats = NDArray[np.float64]
Key = tuple[str, str]
EARLIER: Key = ("mcq", "mcq.entropy")
LATER: Key = (SELF, f"{SELF}.{SELF}")
_TAILS = ((1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2)


@dataclass(frozen=True)
class Control:
    """Of one pair [layer]: the middle of the scores of permuted targets, and what a score must exceed."""

    low: Floats
    high: Floats
    bound: Floats


@dataclass(frozen=True, kw_only=True)
class IntrospectionProbing(ProbeAnalysis[EmergenceResult]):
    """Emergence over layers, from a run's probes; resampled over test questions.

    Args:
        alpha: Probability that of all curves without any signal one has a layer that counts as above its control.
        permutations: Permutations of the test questions that make the control, shared by all layers and curves.
    """

    alpha: float
    permutations: int

    result_type: ClassVar[type] = EmergenceResult

    def check(self) -> None:
        """Alpha, and whether the permutations can reach it."""
        between(0, 1, alpha=self.alpha)
        reaching(self.alpha, permutations=self.permutations)

    def result(self, data: Opened) -> EmergenceResult:
        """The curve of every pair with its onset, and the lag between two of them."""
        files = read_probe_files(data.run, data.store)
        pairs, onsets = [], {}
        for probed, control in zip(files.result.pairs, self._controls(files), strict=True):
            pair, onsets[probed.states, probed.target] = self._pair(files, probed, control)
            pairs.append(pair)
        return EmergenceResult(
            layers=files.layers,
            questions=files.result.questions,
            pairs=pairs,
            alpha=self.alpha,
            interval_level=LEVEL,
            permutations=self.permutations,
            statements=files.result.statements,
            lag=self._lag(files, onsets, pairs),
        )

    def page(self, result: EmergenceResult, data: Opened) -> Page:
        """Onsets, the lag, and the curves behind them."""
        return emergence_page(result, is_demonstration(data.store))

    def _controls(self, files: ProbeFiles) -> list[Control]:
        """Of every pair, which together are one family."""
        scorers = [(self.scorer(files, pair), files.of(pair, "hidden")) for pair in files.result.pairs]
        groups = [files.groups[files.known(pair)] for pair in files.result.pairs]
        moved = shared(groups, self.permutations, self.seed)
        nulls = [scorer.null(x, permutations) for (scorer, x), permutations in zip(scorers, moved, strict=True)]
        family = Family.joined([scorer.value(x) for scorer, x in scorers], nulls)
        bounds = family.bounds(self.alpha).reshape(len(nulls), len(files.layers))
        return [
            Control(np.quantile(null, _TAILS[0], 0), np.quantile(null, _TAILS[1], 0), np.maximum(bound, pair.chance))
            for null, bound, pair in zip(nulls, bounds, files.result.pairs, strict=True)
        ]

    def _pair(self, files: ProbeFiles, pair: ProbedPair, control: Control) -> tuple[EmergencePair, Floats]:
        """The curve of a pair with its control and onset; and the onset on each resample, NaN where there is none."""
        scorer, predicted, bound = self.scorer(files, pair), files.of(pair, "hidden"), control.bound
        value = scorer.value(predicted)
        columns = (scorer.estimates(predicted), *(v.tolist() for v in (control.low, control.high, bound)))
        curve = [CurvePoint(*point) for point in zip(files.layers, *columns, strict=True)]
        about = pair.states, pair.target, pair.score, pair.chance
        resampled = first_above(scorer.resampled(predicted), bound)
        onset = onset_of(first_above(value[None], bound)[0], resampled, files.layers, scorer.boot.n)
        return EmergencePair(*about, curve, onset, pair.chosen.layer), resampled

    def _lag(self, files: ProbeFiles, onsets: dict[Key, Floats], pairs: list[EmergencePair]) -> Lag:
        """From the onset of entropy in the mcq pass to that of confidence in the self pass, resampled together.

        Both are numbers that every question has, so resample b is the same questions in both.
        """
        absent = [
            f"{target} from the states of {states}"
            for states, target in (EARLIER, LATER)
            if (states, target) not in onsets
        ]
        if absent:
            return Lag(Estimate.undefined(0, LEVEL), float("nan"), absent)
        index = {(pair.states, pair.target): pair.onset.index for pair in pairs}
        first, second = (np.array(index[key], np.float64) for key in (EARLIER, LATER))  # NaN where there is no onset
        lags = onsets[LATER] - onsets[EARLIER]
        estimate = self.resampler(files.test).from_resamples(second - first, lags).item()
        return Lag(estimate, float(np.isnan(lags).mean()), [])


def first_above(scores: Floats, bound: Floats) -> Floats:
    """[B] the first of L layers whose score [B, L] exceeds its bound [L]; NaN where none does."""
    above = scores > bound
    return np.where(above.any(1), above.argmax(1).astype(np.float64), np.nan)


def onset_of(index: float, resampled: Floats, layers: list[str], questions: int) -> Onset:
    """The onset by name with its percentile interval over resamples, in which "no layer" comes after the last.

    An interval that holds every layer says nothing and is not claimed.
    """
    ordered = np.sort(np.where(np.isnan(resampled), np.inf, resampled))
    bounds = [ordered[min(len(ordered) - 1, int(np.floor(q * len(ordered))))] for q in _TAILS]
    if questions < LEAST_GROUPS or (bounds[0] == 0 and bounds[1] >= len(layers) - 1):
        bounds = [np.inf, np.inf]
    first, low, high = (int(place) if np.isfinite(place) else None for place in (index, *bounds))
    name, name_low, name_high = (None if place is None else layers[place] for place in (first, low, high))
    return Onset(name, name_low, name_high, first, low, high, float(np.isnan(resampled).mean()), questions)
