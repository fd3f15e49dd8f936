"""Base against finetuned: what did finetuning change, in answers, in confidence, and in the states behind them?

Two runs over the same questions side by side, every difference with an interval that pairs them by question: accuracy,
calibration, agreement; how far the states moved, layer by layer and pass by pass (exactly zero below the first adapted
layer); directions of confidence and how well they separate; likeness of self and other; the layerwise probes with their
gains over surface features and output confidence, where both runs have them (train --exp introspection_probes).

    lit-experiments analyze --exp introspection_compare --run runs/base --finetuned runs/base-finetuned
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.answer_scores import Rows, agreement, in_both, measures
from lit_experiments.experiments.introspection.compare.page import comparison_page
from lit_experiments.experiments.introspection.compare.paired import (
    Pair,
    direction_change,
    likeness_change,
    state_change,
)
from lit_experiments.experiments.introspection.compare.probes import probe_changes
from lit_experiments.experiments.introspection.compare.result import (
    Changed,
    Comparison,
    DirectionChange,
    ProbeChange,
    RunModel,
    Runs,
    ScoreChange,
)
from lit_experiments.experiments.introspection.passes import (
    CONFIDENCE_PASSES,
    READS,
    WHOLE_QUESTIONS,
    NothingToCompare,
    content,
    ids_of,
    layer_names,
    passes,
)
from lit_experiments.experiments.introspection.probe_files import probes_identity, read_probe_files
from lit_experiments.experiments.introspection.probe_split import question_groups
from lit_experiments.ranges import at_least, between, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store, is_store

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class IntrospectionCompare(AnalyzeTask[Comparison]):
    """Two runs of study 3 over the same questions, paired; results go to the base run's folder.

    Args:
        finetuned: Run folder of the finetuned model; null for the base run's name with -finetuned behind it.
        share: Share of the questions that counts as of high confidence, and as of low: 1/3 is the outer thirds.
        folds: Folds of the cross-validation of the directions, by groups of alike questions.
        near_copies: Jaccard similarity of word 3-grams from which questions are near copies.
        templates: Share of words in common, in order, from which questions are of one template; null looks for none.
    """

    finetuned: str | None
    share: float
    folds: int
    near_copies: float
    templates: float | None

    reads: ClassVar[Reads] = WHOLE_QUESTIONS
    result_type: ClassVar[type] = Comparison
    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"finetuned"})

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        between(0, 0.5, share=self.share)
        at_least(2, folds=self.folds)
        share(near_copies=self.near_copies, templates=self.templates)

    def check_data(self, data: Opened) -> None:
        """Raises UserError where the other run is missing or none of study 3, or the two cannot be compared."""
        base, tuned = data.store, self._tuned(data)
        for name, (a, b) in {
            "layers": (base.schema.coords["layer"], tuned.schema.coords["layer"]),
            "hidden width": (base["resid_post"].shape[-1], tuned["resid_post"].shape[-1]),
        }.items():
            if a != b:
                raise UserError(f"The {name} of {base.path} ({a}) are not those of {tuned.path} ({b}).")
        if not in_both(passes(base), passes(tuned))[0]:
            raise UserError(
                f"{base.path} and {tuned.path} have no question in common in any pass: nothing to compare.\n"
                "Next: collect the same --questions with both."
            )

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """The finetuned run, and the probes of both."""
        tuned = self._tuned(data)
        probes = [_or_none(probes_identity, *run) for run in self._both(data, tuned)]
        return {"finetuned": content(tuned), "probes": probes}

    def result(self, data: Opened) -> Comparison:
        """Compares everything that both runs hold; statements say what they do not."""
        base, tuned = data.store, self._tuned(data)
        rows = in_both(passes(base), passes(tuned))
        pairs = {kind: self._pair(base, tuned, rows, kind) for kind in rows[0]}
        names = layer_names(base)
        directions, statements = self._directions(pairs, len(names))
        likeness = self._likeness(pairs, len(names)) if set(CONFIDENCE_PASSES) <= pairs.keys() else None
        return Comparison(
            layers=names,
            interval_level=LEVEL,
            share=self.share,
            statements=statements,
            runs=Runs(_model(base), _model(tuned)),
            questions={kind: len(of_pass) for kind, of_pass in rows[0].items()},
            scores=self._scores(*rows),
            states={kind: [state_change(pair, layer) for layer in range(len(names))] for kind, pair in pairs.items()},
            directions=directions,
            self_other=likeness,
            probes=self._probes(self._both(data, tuned), statements),
        )

    def page(self, result: Comparison, data: Opened) -> Page:
        """What finetuning changed."""
        return comparison_page(result, self.options(), is_demonstration(data.store))

    def _other(self, run: Path) -> Path:
        return Path(self.finetuned) if self.finetuned else run.with_name(run.name + "-finetuned")

    def _tuned(self, data: Opened) -> Store:
        """The finetuned run's store. Raises UserError where there is none of study 3."""
        other = self._other(data.run)
        if not is_store(other / "store"):
            raise UserError(
                f"{other.absolute()} holds no store to compare with.\n"
                f"Next: python collect.py --exp {READS} --adapter ADAPTER --run {other}, or give --finetuned RUN."
            )
        return self.reads.open(other)

    def _both(self, data: Opened, tuned: Store) -> tuple[tuple[Path, Store], tuple[Path, Store]]:
        return (data.run, data.store), (self._other(data.run), tuned)

    def _pair(self, base: Store, tuned: Store, rows: tuple[Rows, Rows], kind: str) -> Pair:
        groups = self._groups(base, rows[0][kind])
        return Pair((base, tuned), (rows[0][kind], rows[1][kind]), groups, self.resampler(groups))

    def _groups(self, store: Store, rows: pd.DataFrame) -> NDArray[np.str_]:
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        return question_groups(store, rows, likeness, self.folds, self.seed)

    def _scores(self, base: Rows, tuned: Rows) -> list[ScoreChange]:
        """Scores of the mcq pass and the confidence in it, with paired differences; none without such a pass."""
        if "mcq" not in base:
            return []
        boot = self.resampler(ids_of(base["mcq"].index))
        first, second = measures(base), measures(tuned)
        scores = [
            ScoreChange(
                name, first[name].estimate(boot), second[name].estimate(boot), first[name].gap_to(second[name], boot)
            )
            for name in first
            if name in second
        ]
        return [*scores, ScoreChange("same answer", both=agreement(base["mcq"], tuned["mcq"]).estimate(boot))]

    def _likeness(self, pairs: dict[str, Pair], layers: int) -> list[Changed]:
        first, second = (pairs[kind] for kind in CONFIDENCE_PASSES)
        common = first.rows[0].index.intersection(second.rows[0].index)
        boot = self.resampler(self._groups(first.stores[0], first.rows[0].loc[common]))
        return [likeness_change(first, second, common, boot, layer) for layer in range(layers)]

    def _directions(self, pairs: dict[str, Pair], layers: int) -> tuple[dict[str, list[DirectionChange]], list[str]]:
        """Per confidence pass and layer; a statement for a pass that has no high and low in one of the runs."""
        changes, statements = {}, []
        for kind in (kind for kind in CONFIDENCE_PASSES if kind in pairs):
            try:
                chosen = pairs[kind].extremes(kind, self.share, self.folds, self.seed)
            except NothingToCompare as reason:
                statements.append(f"Directions of {kind}: {reason}")
                continue
            changes[kind] = [direction_change(pairs[kind], chosen, layer) for layer in range(layers)]
        return changes, statements

    def _probes(self, runs: tuple[tuple[Path, Store], tuple[Path, Store]], statements: list[str]) -> list[ProbeChange]:
        """Per (states, target); a statement where one of the runs has no finished probes."""
        base, tuned = (_or_none(read_probe_files, *run) for run in runs)
        for files, (run, _) in zip((base, tuned), runs, strict=True):
            if files is None:
                again = f"python train.py --exp introspection_probes --run {run}"
                statements.append(f"Probes are not compared: {run} has none of its store as it is ({again}).")
        if base is None or tuned is None:
            return []
        try:
            changes, missing = probe_changes(base, tuned, self.resampler)
        except NothingToCompare as reason:
            changes, missing = [], [str(reason)]
        statements += [f"Probes: {statement}" for statement in missing]
        return changes


def _or_none(read: Callable[[Path, Store], T], run: Path, store: Store) -> T | None:
    """What the probes of a run hold, None where there are none of this store."""
    try:
        return read(run, store)
    except UserError:
        return None


def _model(store: Store) -> RunModel:
    first = store.select(slice(0, 1)).table(["model_name", "checkpoint_id"]).to_pylist()[0]
    return RunModel(first["model_name"], first["checkpoint_id"])
