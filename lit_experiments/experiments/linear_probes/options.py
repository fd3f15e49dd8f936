"""The options of `train --exp linear_probes`, which of them are refused without data, and what each part takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from lit_experiments.controls.split import SplitOptions
from lit_experiments.errors import UserError
from lit_experiments.experiments.linear_probes.fitting import FitOptions, Method
from lit_experiments.experiments.linear_probes.result import LinearProbesResult
from lit_experiments.experiments.linear_probes.run import Settings
from lit_experiments.experiments.linear_probes.states import Passes
from lit_experiments.experiments.linear_probes.study import StudyOptions
from lit_experiments.experiments.linear_probes.transfer import other_store
from lit_experiments.experiments.linear_probes.twin import TwinOptions
from lit_experiments.ranges import above, at_least, between, penalty_grid, reaching, share
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.tasks.task import TrainTask

SIGNIFICANT = 0.05
"""Of the tests behind verdicts."""
_NOT_LIVE = frozenset({"run", "store_states", "dry_run", "restart", "exp", "config"})
"""Options of a collection that --live fills in itself."""


@dataclass(frozen=True, kw_only=True)
class LinearProbesOptions(TrainTask[LinearProbesResult]):
    """One linear probe per target and layer, from the states of any store, with its controls and a verdict.

    Args:
        target: Columns with the labels; null takes those that the collection declares, or the columns of --labels.
        labels: A table (CSV, JSONL, Parquet, ...) with further labels, joined by its column sample_id.
        target_type: number or class for all targets; auto takes text, truth values and few whole numbers as classes.
        most_classes: Up to so many different whole numbers are classes, more are numbers.
        rare_classes: What becomes of classes with too few groups to hold some out: leave_out, or merge into "other".
        row_filter: Only rows whose columns have these values, such as {prompt_type: mcq}.
        method: ridge (numbers), logistic, lda (classes), mean_difference; auto takes ridge and logistic, and lda in
            place of logistic where the states are not stored.
        live: Compute the states while training, and store none. Takes the options of collect --exp activations behind
            a dot, as in --live.texts FILE --live.text_column body --live.model NAME --live.positions mean; by itself it
            reads the embedded texts. RUN then holds texts, labels and probes.
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
        shuffles: Linear probes retrained on shuffled labels, as a control; 0 for none.
        permutations: Permutations of test labels behind each p-value.
        bins: Bins of confidence for the calibration error.
        surface_model: Control from text, lengths and place: auto (the best of all, chosen in the training part),
            numbers, words, characters, word_means (labels of texts with the same words, of words that go with one
            label above all), alike (labels of like texts), kinds (of columns such as source), neighbours (labels of
            rows near in the data), selected (few features and products of two or three), trees, or none.
        surface_rows: Training rows that such a model is fitted to at most.
        embedding_model: Folder or Hub id of a sentence-embedding model, as a further control.
        output_columns: Columns with what the model put out, as a control; null takes those that collections have.
        twin: Probe random-weights twins of the model too; random features of the tokens where it cannot be loaded.
        twins: How many of them; the score must be above all of theirs.
        twin_tokens: Tokens that the twin reads at a time, with padding.
        evaluate_on: Folders of other runs to evaluate the probes on.
        tolerance: Relative distance to the minimum at which a logistic fit has converged.
        max_iterations: Steps of a logistic fit.
        memory_mb: What a fit may hold, in megabytes; layers that do not fit together come one group after another.
        block_mb: States read at a time, in megabytes.
    """

    target: list[str] | None
    labels: str | None
    target_type: Literal["auto", "number", "class"]
    most_classes: int
    rare_classes: Literal["leave_out", "merge"]
    row_filter: dict[str, Any] | None
    method: Literal["auto", "ridge", "logistic", "mean_difference", "lda"]
    live: bool | dict[str, Any]
    fields: list[str] | None
    layers: list[str] | None
    group_by: Literal["auto", "content", "id", "column"]
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
    surface_model: Literal[
        "auto",
        "none",
        "numbers",
        "words",
        "characters",
        "word_means",
        "alike",
        "kinds",
        "neighbours",
        "selected",
        "trees",
    ]
    surface_rows: int
    embedding_model: str | None
    output_columns: list[str] | None
    twin: bool
    twins: int
    twin_tokens: int
    evaluate_on: list[str] | None
    tolerance: float
    max_iterations: int
    memory_mb: float
    block_mb: float

    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"memory_mb", "block_mb", "twin_tokens", "live"})

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        at_least(2, folds=self.folds, bins=self.bins, most_classes=self.most_classes)
        at_least(1, twins=self.twins)
        at_least(1, max_iterations=self.max_iterations, twin_tokens=self.twin_tokens, surface_rows=self.surface_rows)
        reaching(SIGNIFICANT, permutations=self.permutations, shuffles=self.shuffles or None)
        between(0, 1, test_fraction=self.test_fraction, tolerance=self.tolerance)
        share(near_copies=self.near_copies, templates=self.templates)
        above(0, memory_mb=self.memory_mb, block_mb=self.block_mb)
        penalty_grid(penalties=self.penalties, class_penalties=self.class_penalties)
        if self.live is not False:
            self._check_live()
        if not self.shrinkages or not all(0 <= value <= 1 for value in self.shrinkages):
            raise UserError(f"shrinkages must be numbers from 0 to 1, at least one, found {self.shrinkages}.")

    def _check_live(self) -> None:
        """What need not wait until all texts are read and stored."""
        nested = self.live if isinstance(self.live, dict) else {}
        refused = sorted(_NOT_LIVE & set(nested))
        if refused:
            raise UserError(
                f"--live.{refused[0]} is not taken: the texts of --live are collected into --run, once and without "
                "states.\nNext: see collect --exp activations --help for what --live takes."
            )
        if self.method == "logistic":
            raise UserError(
                "--method logistic passes over the states many times, and --live keeps none: the model would read all "
                "texts in each pass.\nNext: --method lda or mean_difference; or collect with --store_states true."
            )
        if self.labels is not None and not Path(self.labels).is_file():
            raise UserError(f"--labels {self.labels}: there is no such file.")
        for run in self.evaluate_on or []:
            other_store(run)

    @property
    def collects(self) -> dict[str, Any] | None:
        """With --live, a collection of the texts alone."""
        if self.live is False:
            return None
        return {**({} if self.live is True else self.live), "store_states": False}

    def split_options(self) -> SplitOptions:
        """How rows are split."""
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        columns = (self.group_by, self.group_column, self.split_column)
        return SplitOptions(*columns, likeness, self.test_fraction, self.folds, self.seed)

    def study_options(self) -> StudyOptions:
        """What is read."""
        return StudyOptions(
            target=self.target,
            labels=self.labels,
            target_type=self.target_type,
            most_classes=self.most_classes,
            fields=self.fields,
            layers=self.layers,
            row_filter=self.row_filter,
            text_column=self.text_column,
            rare_classes=self.rare_classes,
            sample_weights=self.sample_weights,
            split=self.split_options(),
        )

    def method_on(self, live: bool) -> Method:
        """The method; where the model has to read the texts for every pass, auto takes what needs few."""
        return "closed" if live and self.method == "auto" else self.method

    def settings(self, accelerator: str, live: bool) -> Settings:
        """How it is fitted. accelerator: the Trainer's; live: whether the model computes the states in every pass."""
        memory = int(self.memory_mb * 1e6)
        fit = FitOptions(
            method=self.method_on(live),
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
            twin=TwinOptions(self.seed, self.twins, self.twin_tokens, accelerator) if self.twin else None,
            split=self.split_options(),
            seed=self.seed,
        )
