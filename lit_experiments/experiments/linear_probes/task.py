"""`train --exp linear_probes`: its options, what is checked before anything is made, and what is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.linear_probes.baselines import SurfaceModel
from lit_experiments.experiments.linear_probes.features import output_of
from lit_experiments.experiments.linear_probes.fitting import FitOptions, Method
from lit_experiments.experiments.linear_probes.labels import TargetType
from lit_experiments.experiments.linear_probes.page import probes_page
from lit_experiments.experiments.linear_probes.probe_files import (
    folder_name,
    probe_folders,
    save_probes,
    split_of,
    write_predictions,
)
from lit_experiments.experiments.linear_probes.problems import Rare
from lit_experiments.experiments.linear_probes.result import LinearProbesResult
from lit_experiments.experiments.linear_probes.run import Settings, evaluated, fitted, target_result
from lit_experiments.experiments.linear_probes.split import GroupBy, SplitOptions
from lit_experiments.experiments.linear_probes.states import Passes
from lit_experiments.experiments.linear_probes.study import Study, StudyOptions, read_study, resolved
from lit_experiments.experiments.linear_probes.transfer import OtherRun, open_other, other_store
from lit_experiments.experiments.linear_probes.twin import TwinOptions
from lit_experiments.experiments.linear_probes.verdicts import with_verdicts
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import write_json
from lit_experiments.probes.blocks import TEST
from lit_experiments.ranges import above, at_least, between, penalty_grid, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened, TrainTask
from lit_experiments.tasks.training import Trainer
from stores import fingerprint_hash

SIGNIFICANT = 0.05
"""Of the tests behind verdicts."""


@dataclass(frozen=True, kw_only=True)
class LinearProbes(TrainTask[LinearProbesResult]):
    """One linear probe per target and layer, from the states of any store, with its controls and a verdict.

    Args:
        target: Columns with the labels; null takes those that the collection declares, or the columns of --labels.
        labels: A table (CSV, JSONL, Parquet, ...) with further labels, joined by its column sample_id.
        target_type: number or class for all targets; auto takes text, truth values and few whole numbers as classes.
        most_classes: Up to so many different whole numbers are classes, more are numbers.
        rare_classes: What becomes of classes with too few groups to hold some out: leave_out, or merge into "other".
        where: Only rows whose columns have these values, such as {prompt_type: mcq}.
        method: ridge (numbers), logistic, lda (classes), mean_difference; auto takes ridge and logistic.
        fields: Fields of states to read; null takes every float field whose last dim is hidden.
        layers: Sites to read, by name; null reads all that are stored.
        group_by: What no split may part: content (alike texts, with the group column if there is one; auto does this),
            id (every row on its own), column (the group column alone).
        group_column: Column whose equal values belong together; null takes what the collection declares.
        split_column: Column with train, test (and validation); null takes what the collection declares.
        text_column: Column with the text of a row; null takes text, prompt_text and the like, else token ids.
        near_copies: Jaccard similarity of word 3-grams from which texts are near copies.
        templates: Share of words in common, in order, from which texts are of one template; null looks for none.
        class_weights: balanced weighs classes by their rarity; none.
        sample_weights: Column with the weight of each row in the fits; scores count every row alike.
        penalties: Ridge penalties to choose from, by cross-validation inside the training part.
        class_penalties: Penalties of logistic fits to choose from, per training row, in the same way.
        shrinkages: Shrinkages of lda to choose from, between 0 and 1, in the same way.
        test_fraction: Share of the groups held out for the test part.
        folds: Folds of the cross-validation, by group.
        shuffles: Linear probes retrained on shuffled labels, as a control.
        permutations: Permutations of test labels behind each p-value.
        bins: Bins of confidence for the calibration error.
        surface_model: Control from text, lengths and place: auto (the best of all, chosen in the training part),
            numbers, words, characters, trees, or none.
        surface_rows: Training rows that such a model is fitted to at most.
        embedding_model: Folder or Hub id of a sentence-embedding model, as a further control.
        output_columns: Columns with what the model put out, as a control; null takes those that collections have.
        twin: Probe a random-weights twin of the model too.
        twin_tokens: Tokens that the twin reads at a time, with padding.
        evaluate_on: Folders of other runs to evaluate the probes on.
        tolerance: Relative distance to the minimum at which a logistic fit has converged.
        max_iterations: Steps of a logistic fit.
        memory_mb: Training rows of logistic probes, and a twin's states, stay in memory if they fit, in megabytes.
        block_mb: States read at a time, in megabytes.
    """

    target: list[str] | None
    labels: str | None
    target_type: TargetType
    most_classes: int
    rare_classes: Rare
    where: dict[str, Any] | None
    method: Method
    fields: list[str] | None
    layers: list[str] | None
    group_by: GroupBy
    group_column: str | None
    split_column: str | None
    text_column: str | None
    near_copies: float
    templates: float | None
    class_weights: Literal["none", "balanced"]
    sample_weights: str | None
    penalties: list[float]
    class_penalties: list[float]
    shrinkages: list[float]
    test_fraction: float
    folds: int
    shuffles: int
    permutations: int
    bins: int
    surface_model: SurfaceModel
    surface_rows: int
    embedding_model: str | None
    output_columns: list[str] | None
    twin: bool
    twin_tokens: int
    evaluate_on: list[str] | None
    tolerance: float
    max_iterations: int
    memory_mb: float
    block_mb: float

    reads: ClassVar[Reads] = Reads("activations", any_store=True)
    result_type: ClassVar[type] = LinearProbesResult
    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"memory_mb", "block_mb", "twin_tokens"})
    sklearn_files = staticmethod(probe_folders)

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        at_least(2, folds=self.folds, bins=self.bins, most_classes=self.most_classes)
        at_least(1, max_iterations=self.max_iterations, twin_tokens=self.twin_tokens, surface_rows=self.surface_rows)
        at_least(0, shuffles=self.shuffles)
        between(0, 1, test_fraction=self.test_fraction, tolerance=self.tolerance)
        share(near_copies=self.near_copies, templates=self.templates)
        above(0, memory_mb=self.memory_mb, block_mb=self.block_mb)
        penalty_grid(penalties=self.penalties, class_penalties=self.class_penalties)
        least = round(1 / SIGNIFICANT) - 1
        if self.permutations < least:
            raise UserError(
                f"permutations must be at least {least}, found {self.permutations}: fewer cannot give a p-value of "
                f"{SIGNIFICANT:g}."
            )
        if not self.shrinkages or not all(0 <= value <= 1 for value in self.shrinkages):
            raise UserError(f"shrinkages must be numbers from 0 to 1, at least one, found {self.shrinkages}.")

    def check_data(self, data: Opened) -> None:
        """Raises UserError for targets, columns and runs that the options do not go with."""
        study = self._study(data)
        for problem in study.problems:
            output_of(study.store, problem, self.output_columns)
            if problem.classes and self.method == "ridge":
                raise UserError(
                    f"--method ridge takes numbers; target {problem.name} has {len(problem.classes)} classes "
                    f"({problem.reason}).\nNext: --method logistic or auto; or --target_type number."
                )
            if not problem.classes and self.method in ("logistic", "lda"):
                raise UserError(
                    f"--method {self.method} takes classes; target {problem.name} is a number ({problem.reason}).\n"
                    "Next: --method ridge or auto; or --target_type class."
                )
        folders = [folder_name(problem.name) for problem in study.problems]
        twice = sorted({name for name in folders if folders.count(name) > 1})
        if twice:
            raise UserError(f"Targets whose folders would have one name: {', '.join(twice)}; train them one by one.")
        for run in self.evaluate_on or []:
            other_store(run)

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """Declarations as they are now, labels from a table, and the runs that are evaluated on."""
        study = self._study(data)
        split = resolved(self._split(), study.declared)
        others = {run: other_store(run) for run in self.evaluate_on or []}
        return {
            "targets": [problem.name for problem in study.problems],
            "group_column": split.group_column,
            "split_column": split.split_column,
            "labels": study.table.digest,
            "evaluated_on": {
                run: fingerprint_hash({"store": store.fingerprint, "ids": store.sample_ids})
                for run, store in others.items()
            },
        }

    def result(self, data: Opened, trainer: Trainer) -> LinearProbesResult | None:
        """Fits and evaluates; writes probes, split and predictions."""
        study, settings = self._study(data), self._settings(str(trainer.flags.get("accelerator", "auto")))
        fits = fitted(study, settings, trainer)
        if not is_rank_zero():
            return None
        evaluations = evaluated(study, fits, self.resampler, self.permutations, self.bins, self.seed)
        others = self._others(study)
        block = settings.passes.block_bytes
        results = [
            target_result(evaluation, fits, others, self.resampler, settings.fit, block) for evaluation in evaluations
        ]
        for evaluation in evaluations:
            save_probes(data.out, study.store, evaluation, self.method)
        write_json(data.out / "split.json", split_of(study.store, evaluations))
        write_predictions(data.out, study.store, evaluations)
        for path in data.out.glob("twin-*.safetensors"):
            path.unlink()
        notes = [f"{study.table.unmatched} rows of --labels name no sample of this store."] * bool(
            study.table.unmatched
        )
        return LinearProbesResult(
            targets=with_verdicts(results, SIGNIFICANT),
            split=study.split.summary,
            interval_level=LEVEL,
            alpha=SIGNIFICANT,
            permutations=self.permutations,
            folds=self.folds,
            without=[*fits.without, *notes],
        )

    def page(self, result: LinearProbesResult, data: Opened) -> Page:
        """What is readable, and what the controls leave of it."""
        return probes_page(result, is_demonstration(data.store))

    @cached_property
    def _opened(self) -> dict[Path, Study]:
        return {}

    def _study(self, data: Opened) -> Study:
        """What a run's store gives, read once."""
        if data.run not in self._opened:
            self._opened[data.run] = read_study(data.run, data.store, self._study_options())
        return self._opened[data.run]

    def _others(self, study: Study) -> list[OtherRun]:
        training = np.flatnonzero((study.split.part != TEST) & ~study.split.left_out)
        likeness = self._split().likeness
        return [open_other(run, study.store, training, self.text_column, likeness) for run in self.evaluate_on or []]

    def _split(self) -> SplitOptions:
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        columns = (self.group_by, self.group_column, self.split_column)
        return SplitOptions(*columns, likeness, self.test_fraction, self.folds, self.seed)

    def _study_options(self) -> StudyOptions:
        return StudyOptions(
            target=self.target,
            labels=self.labels,
            target_type=self.target_type,
            most_classes=self.most_classes,
            fields=self.fields,
            layers=self.layers,
            where=self.where,
            text_column=self.text_column,
            rare_classes=self.rare_classes,
            sample_weights=self.sample_weights,
            split=self._split(),
        )

    def _settings(self, accelerator: str) -> Settings:
        memory = int(self.memory_mb * 1e6)
        fit = FitOptions(
            method=self.method,
            penalties=self.penalties,
            class_penalties=self.class_penalties,
            shrinkages=self.shrinkages,
            class_weights=None if self.class_weights == "none" else self.class_weights,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            memory_bytes=memory,
            shuffles=self.shuffles,
            seed=self.seed,
        )
        return Settings(
            fit=fit,
            passes=Passes(self.folds, self.seed, int(self.block_mb * 1e6)),
            surface_model=self.surface_model,
            surface_rows=self.surface_rows,
            embedding_model=self.embedding_model,
            output_columns=self.output_columns,
            twin=TwinOptions(self.seed, self.twin_tokens, accelerator, memory) if self.twin else None,
            seed=self.seed,
        )
