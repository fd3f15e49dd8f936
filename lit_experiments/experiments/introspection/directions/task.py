"""Directions of confidence: where do states of high- and low-confidence questions lie apart?

For the self- and the other-confidence pass and each layer: the difference of the means of the answer-position states of
the most and the least confident questions; how well it separates questions that it has not seen, next to shuffled
labels; its cosine to the other pass's direction and to the weights of a ridge.

    lit-experiments analyze --exp introspection_directions --run runs/introspection

Writes directions.safetensors, to steer along later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save

from lit_experiments.experiments.introspection.directions import separation
from lit_experiments.experiments.introspection.directions.page import directions_page
from lit_experiments.experiments.introspection.directions.result import (
    BetweenPasses,
    DirectionLayer,
    Directions,
    PassDirections,
    RidgeSeparation,
)
from lit_experiments.experiments.introspection.directions.separation import Bools, Floats
from lit_experiments.experiments.introspection.passes import (
    CONFIDENCE_PASSES,
    SIGNIFICANT,
    WHOLE_QUESTIONS,
    NothingToCompare,
    answer_states,
    central_range,
    layer_names,
    passes,
    without_confidence,
)
from lit_experiments.experiments.introspection.probe_split import question_groups
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.ranges import at_least, between, penalty_grid, reaching, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL, GroupBootstrap
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.max_t import max_t
from lit_experiments.statistics.permutation import permutation_p
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store

FILE = "directions.safetensors"


@dataclass(frozen=True)
class Pass:
    """One confidence pass: its rows, which are of high and low confidence, the resamples and shuffles of these."""

    kind: str
    rows: pd.DataFrame
    chosen: separation.Extremes
    boot: GroupBootstrap
    shuffled: Bools


@dataclass(frozen=True)
class Measured:
    """One pass and layer: scores, whose p_corrected and together are those of this layer alone; its direction [hidden];
    the AUROCs of shuffled labels [shuffle], the same labels for all layers; `auroc_draws`."""

    scores: DirectionLayer
    unit: Floats
    null: Floats
    draws: Floats


@dataclass(frozen=True, kw_only=True)
class IntrospectionDirections(AnalyzeTask[Directions]):
    """Directions from low to high confidence, and how well they separate; intervals over questions.

    Args:
        share: Share of the questions that counts as of high confidence, and as of low: 1/3 is the outer thirds.
        folds: Folds of the cross-validation, by groups of alike questions.
        near_copies: Jaccard similarity of word 3-grams from which questions are near copies.
        templates: Share of words in common, in order, from which questions are of one template; null looks for none.
        penalties: Ridge penalties to choose from, by cross-validation inside each training part.
        shuffles: Labelings permuted between groups of alike questions, behind p-values; the same for all layers.
    """

    share: float
    folds: int
    near_copies: float
    templates: float | None
    penalties: list[float]
    shuffles: int

    reads: ClassVar[Reads] = WHOLE_QUESTIONS
    result_type: ClassVar[type] = Directions

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        between(0, 0.5, share=self.share)
        reaching(SIGNIFICANT, shuffles=self.shuffles)
        at_least(2, folds=self.folds)
        share(near_copies=self.near_copies, templates=self.templates)
        penalty_grid(penalties=self.penalties)

    def result(self, data: Opened) -> Directions:
        """A direction per pass and layer, then the two passes' directions against each other."""
        names = layer_names(data.store)
        ready, statements = self._passes(data.store, passes(data.store))
        measured = {pass_.kind: self._pass(data.store, pass_, len(names)) for pass_ in ready}
        complete = len(ready) == len(CONFIDENCE_PASSES)
        self_other = self._between(data.store, ready, statements) if complete else None
        return Directions(
            layers=names,
            statements=statements,
            share=self.share,
            interval_level=LEVEL,
            shuffles=self.shuffles,
            folds=self.folds,
            passes={kind: numbers for kind, (numbers, _) in measured.items()},
            self_other=self_other,
            vectors={kind: vectors for kind, (_, vectors) in measured.items()},
        )

    def page(self, result: Directions, data: Opened) -> Page:
        """What came out, layer by layer."""
        return directions_page(result, self.options(), is_demonstration(data.store))

    def write(self, result: Directions, data: Opened) -> None:
        """Writes directions.safetensors: per pass `direction` [layer, hidden], and `spread` [layer], the standard
        deviation of all questions' projections, in the units of the states."""
        tensors: dict[str, NDArray[np.float32]] = {}
        for kind, measured in result.passes.items():
            tensors[f"{kind}.direction"] = np.array(result.vectors[kind], np.float32)
            tensors[f"{kind}.spread"] = np.array([layer.spread for layer in measured.layers], np.float32)
        (data.out / FILE).write_bytes(save(tensors, metadata={"layers": json.dumps(result.layers)}))

    def _passes(self, store: Store, rows: dict[str, pd.DataFrame]) -> tuple[list[Pass], list[str]]:
        """The passes that can be analyzed, and a statement for each that cannot."""
        ready, statements = [], []
        for kind in CONFIDENCE_PASSES:
            if kind not in rows:
                statements.append(f"{kind}: the store holds no such pass.")
                continue
            try:
                ready.append(self._ready(store, kind, rows[kind]))
                statements += without_confidence(kind, rows[kind][kind])
            except NothingToCompare as reason:
                statements.append(f"{kind}: {reason}")
        return ready, statements

    def _ready(self, store: Store, kind: str, rows: pd.DataFrame) -> Pass:
        groups = self._groups(store, rows)
        chosen = separation.extremes(rows[kind].to_numpy(np.float64), groups, self.share, self.folds, self.seed)
        of_chosen = groups[chosen.rows]
        shuffled = separation.shuffled_labels(chosen.high, chosen.fold, of_chosen, self.shuffles, self.seed)
        return Pass(kind, rows, chosen, self.resampler(of_chosen), shuffled)

    def _groups(self, store: Store, rows: pd.DataFrame) -> NDArray[np.str_]:
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        return question_groups(store, rows, likeness, self.folds, self.seed)

    def _pass(self, store: Store, pass_: Pass, count: int) -> tuple[PassDirections, list[list[float]]]:
        """Numbers of a pass, and its directions [layer][hidden]."""
        measured = [self._layer(_states(store, pass_.rows, layer), pass_) for layer in range(count)]
        chosen = pass_.chosen
        layers = [of_layer.scores for of_layer in measured]
        null = np.stack([of_layer.null for of_layer in measured], 1)
        corrected = max_t([of_layer.auroc.value for of_layer in layers], null)
        together = separation.auroc_estimates([m.draws for m in measured], chosen.high, pass_.boot.jointly())
        numbers = PassDirections(
            questions=len(pass_.rows),
            high=int(chosen.high.sum()),
            low=int((~chosen.high).sum()),
            thresholds=[chosen.lower, chosen.upper],
            layers=[
                replace(of_layer, p_corrected=float(p), together=estimate)
                for of_layer, p, estimate in zip(layers, corrected, together, strict=True)
            ],
        )
        return numbers, [of_layer.unit.tolist() for of_layer in measured]

    def _layer(self, states: Floats, pass_: Pass) -> Measured:
        """One pass and layer; states: [question, hidden]."""
        chosen = pass_.chosen
        x, high, fold = states[chosen.rows], chosen.high, chosen.fold
        unit = separation.direction(x, high)
        scores = separation.held_out_projections(x, high[:, None], fold)[:, 0]
        shuffled = separation.held_out_projections(x, pass_.shuffled, fold)
        control = aurocs(shuffled.T, pass_.shuffled.T, stratum=fold)
        draws = separation.auroc_draws(scores, high, fold, pass_.boot)
        auroc = separation.auroc_estimates([draws], high, pass_.boot)[0]
        p = float(permutation_p(auroc.value, control))
        square = float(np.sum((x[high].mean(0) - x[~high].mean(0)) ** 2))
        labelled = separation.Labelled(x, high.astype(np.float64), (~high).astype(np.float64))
        layer = DirectionLayer(
            auroc=auroc,
            cohens_d=separation.cohens_d(scores, high, fold, pass_.boot),
            shuffled=central_range(control, LEVEL),
            p=p,
            p_corrected=p,
            together=auroc,
            ridge=self._ridge(x, pass_),
            spread=float((states @ unit).std()),
            length=float(np.sqrt(square)) if square else float("nan"),
            signal_share=separation.squared_length(labelled) / square if square else float("nan"),
        )
        return Measured(layer, unit, control, draws)

    def _ridge(self, x: Floats, pass_: Pass) -> RidgeSeparation:
        """A ridge of confidence on the same training rows as each fold's direction."""
        chosen = pass_.chosen
        confidence = pass_.rows[pass_.kind].to_numpy(np.float64)[chosen.rows]
        scores, cosines = np.full(len(x), np.nan), []
        for f in range(self.folds):
            train = chosen.fold != f
            fit = choose_ridge(x[train], confidence[train], chosen.fold[train], self.penalties)
            length = np.linalg.norm(fit.weights)
            if length:
                scores[~train] = fit.predict(x[~train])
                cosines.append(float(fit.weights @ separation.direction(x[train], chosen.high[train]) / length))
        mean, lowest, highest = (float(f(cosines)) if cosines else float("nan") for f in (np.mean, np.min, np.max))
        auroc = separation.auroc_estimate(scores, chosen.high, chosen.fold, pass_.boot)
        return RidgeSeparation(auroc, mean, lowest, highest)

    def _between(self, store: Store, ready: Sequence[Pass], statements: list[str]) -> list[BetweenPasses]:
        """Per layer the cosine of the two passes' directions, over the questions that both passes hold."""
        common = ready[0].rows.index.intersection(ready[1].rows.index)
        masks = [_masks(pass_, common) for pass_ in ready]
        used = np.any([high + low > 0 for high, low in masks], axis=0)
        if min(m[used].sum() for pair in masks for m in pair) < 2:
            statements.append("The two passes share too few questions for a cosine between their directions.")
            return []
        boot = self.resampler(self._groups(store, ready[0].rows.loc[common])[used])
        layers = []
        for layer in range(len(store.schema.coords["layer"])):
            first, second = (
                separation.Labelled(_states(store, pass_.rows.loc[common], layer)[used], high[used], low[used])
                for pass_, (high, low) in zip(ready, masks, strict=True)
            )
            layers.append(BetweenPasses(separation.corrected_cosine(first, second, boot), _plain_cosine(first, second)))
        return layers


def _states(store: Store, rows: pd.DataFrame, layer: int) -> Floats:
    """Answer-position states [question, hidden] relative to their first row.

    Nothing here depends on a common shift; taking it away keeps digits, and makes a layer whose states are all the
    same exactly 0, where a difference of means would be rounding.
    """
    states = answer_states(store, rows, layer)
    return states - states[:1]


def _masks(pass_: Pass, common: pd.Index) -> tuple[Floats, Floats]:
    """1 for the common questions of high, and of low confidence."""
    ids = pass_.rows.index[pass_.chosen.rows]
    high, low = ids[pass_.chosen.high], ids[~pass_.chosen.high]
    return common.isin(high).astype(np.float64), common.isin(low).astype(np.float64)


def _plain_cosine(first: separation.Labelled, second: separation.Labelled) -> float:
    """Cosine of the two directions as estimated, noise and all."""
    units = []
    for side in (first, second):
        taken = side.high + side.low > 0
        units.append(separation.direction(side.x[taken], side.high[taken] > 0))
    return float(units[0] @ units[1])
