"""Regresses log-tempnorm on the hidden vector of the starting point: one standardised ridge per eval length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.split import Split, SplitOptions
from lit_experiments.errors import UserError
from lit_experiments.experiments.tempnorm.context_split import context_groups, split_contexts
from lit_experiments.experiments.tempnorm.export import sklearn_files
from lit_experiments.experiments.tempnorm.fits import Fits, Fitted, result_of, save_probes
from lit_experiments.experiments.tempnorm.judging import Fitted as Decisive
from lit_experiments.experiments.tempnorm.judging import apart_from_neighbours, judge, without_states
from lit_experiments.experiments.tempnorm.page import tempnorm_page
from lit_experiments.experiments.tempnorm.result import TempnormResult
from lit_experiments.experiments.tempnorm.single_numbers import ENTROPY, left_by_entropy
from lit_experiments.experiments.tempnorm.twins import TwinOptions, TwinPredictions, twin_predictions
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import shallow, write_json
from lit_experiments.probes.baselines import held_out_r2
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.evaluate import predict
from lit_experiments.probes.repeated_ridge import repeated_r2
from lit_experiments.probes.result import report
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.ranges import above, at_least, between, penalty_grid, reaching
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEAST_GROUPS, LEVEL, Estimate, GroupBootstrap
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened, TrainTask
from lit_experiments.tasks.training import Trainer
from stores import Store

CHECKPOINTS = ("checkpoints", "checkpoints_mean", "checkpoints_beyond", "checkpoints_rows")
"""Folders of the passes: single continuations, starting points' means, what the entropy leaves, starting points split
one by one; what a control leaves has a folder of its own."""

Targets = Callable[[Store, NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class TempnormRidge(TrainTask[TempnormResult]):
    """Reads a tempnorm store; writes probes, splits and metrics of one ridge per eval length.

    Args:
        penalties: Ridge penalties to choose from, by cross-validation inside the training part.
        alpha_ridge: A fixed penalty, reported next to the chosen one.
        group_by: What no split may part: auto or content (like contexts: copies, near copies, one template, and copies
            of what the model read), or id (nothing: starting points are split one by one).
        near_copies: Contexts with so large a Jaccard similarity of word trigrams are near copies.
        templates: Contexts with so large a share of words in common, in order, are of one template; null: no
                templates.
        test_fraction: Share of the contexts held out for the test part, with all of their starting points.
        folds: Folds of the cross-validation, by context.
        shuffles: Copies of the targets permuted between contexts, as a control.
        permutations: Permutations of the test part's targets between contexts, for p-values.
        repeats: Random group splits that the score is repeated on; 0 or 1 repeats none.
        twin: Probe random-weights twins of the model too; random features of the tokens where it cannot be loaded.
        twins: How many of them; the score must be above all of theirs.
        twin_tokens: Tokens that a twin reads at a time, with padding.
        block_mb: Features read at a time, in megabytes.
    """

    penalties: list[float]
    alpha_ridge: float
    group_by: Literal["auto", "content", "id"]
    near_copies: float
    templates: float | None
    test_fraction: float
    folds: int
    shuffles: int
    permutations: int
    repeats: int
    twin: bool
    twins: int
    twin_tokens: int
    block_mb: float

    reads: ClassVar[Reads] = Reads("tempnorm", ("starting_hidden", "log_tempnorm", "log_tempnorm_mean"))
    shapes_nothing: ClassVar[frozenset[str]] = TrainTask.shapes_nothing | {"twin_tokens"}
    result_type: ClassVar[type] = TempnormResult
    sklearn_files = staticmethod(sklearn_files)

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        between(0, 1, test_fraction=self.test_fraction)
        at_least(2, folds=self.folds)
        at_least(0, repeats=self.repeats)
        at_least(1, twins=self.twins, twin_tokens=self.twin_tokens)
        reaching(1 - LEVEL, permutations=self.permutations, shuffles=self.shuffles or None)
        between(0, 1, near_copies=self.near_copies)
        if self.templates is not None:
            between(0, 1, templates=self.templates)
        above(0, alpha_ridge=self.alpha_ridge, block_mb=self.block_mb)
        penalty_grid(penalties=self.penalties)

    def check_data(self, data: Opened) -> None:
        """Raises UserError where there are too few contexts for the folds."""
        least, contexts = 2 * (self.folds + 1), len(set(context_groups(data.store)))
        if contexts < least:
            raise UserError(
                f"{data.store.path} holds {len(data.store)} starting points of {contexts} different contexts; "
                f"{self.folds} folds and a test part need at least {least}.\nNext: collect more contexts, or lower "
                f"--folds."
            )
        self._split(data.store)

    def _split(self, store: Store) -> Split:
        likeness = Likeness(self.near_copies, self.templates)
        return split_contexts(
            store, SplitOptions(self.group_by, None, None, likeness, self.test_fraction, self.folds, self.seed)
        )

    def result(self, data: Opened, trainer: Trainer) -> TempnormResult | None:
        """Trains and evaluates; writes every eval length's probe and split."""
        store, split = data.store, self._split(data.store)
        single = self._fit(self._data(store, split.group, _individual, self.shuffles), trainer, CHECKPOINTS[0])
        mean = self._fit(self._data(store, split.group, _mean, self.shuffles), trainer, CHECKPOINTS[1])
        by_entropy, left = self._left_by_entropy(store, single[1])
        beyond = self._fit(self._data(store, split.group, left, 0), trainer, CHECKPOINTS[2])
        true = _individual(store, np.arange(len(store)))
        controls = without_states(store, split, true, self.seed)
        left_by = {c.name: true - c.predicted[:, None, :] for c in controls}
        rests = {
            name: self._fit(self._data(store, split.group, rest, 0), trainer, f"checkpoints_{name}")
            for name, rest in left_by.items()
        }
        rows = self._by_row(store, split, trainer)
        if not is_rank_zero():
            return None
        fitted = self._evaluate(single[0].solution, single[1])
        predicted = {name: self._evaluate(fit[0].solution, fit[1]).predictions.predicted for name, fit in rests.items()}
        with_states = {c.name: c.predicted + predicted[c.name] for c in controls}
        apart = apart_from_neighbours(fitted.predictions, split.neighbour, self._apart_boot(fitted, split))
        by_row = None if rows is None else self._over_contexts(self._evaluate(rows[0].solution, rows[1]), split)
        twins = self._twins(store, split, true, trainer)
        against = None if twins is None else twins.against(fitted.predictions)
        decisive = Decisive(fitted.predictions, fitted.results, with_states, against, apart, by_row)
        fits = Fits(
            fitted,
            self._evaluate(mean[0].solution, mean[1]),
            self._evaluate(single[0].solution_for([self.alpha_ridge]), single[1]),
            by_entropy + self._evaluate(beyond[0].solution, beyond[1]).predictions.predicted,
            judge(store, split, controls, decisive, self.permutations, self.seed),
            repeated_r2(single[1], fitted.solution, self.repeats, self.seed, LEVEL),
            apart,
            by_row,
        )
        save_probes(store, data.out, fits.single)
        reasons = [f"random-weights twin: {twins.reason}"] if twins is not None and twins.reason else []
        return result_of(store, split, fits, reasons)

    def _twins(self, store: Store, split: Split, true: NDArray[np.float64], trainer: Trainer) -> TwinPredictions | None:
        if not self.twin:
            return None
        accelerator = str(trainer.flags.get("accelerator", "auto"))
        options = TwinOptions(self.seed, self.twins, self.twin_tokens, accelerator, self.penalties)
        return twin_predictions(store, split, true, options)

    def _by_row(self, store: Store, split: Split, trainer: Trainer) -> tuple[RidgeProbe, StoreDataModule] | None:
        """The ridge where starting points are split one by one, if any were put together and enough are held out."""
        few = split.summary.test_groups < LEAST_GROUPS
        if self.group_by == "id" or few or split.summary.groups == len(store):
            return None
        return self._fit(self._data(store, np.array(store.sample_ids, str), _individual, 0), trainer, CHECKPOINTS[3])

    def _over_contexts(self, fitted: Fitted, split: Split) -> list[Estimate]:
        """Test R2 per length of rows split one by one, resampled over groups of like contexts."""
        rows = fitted.predictions
        boot = self.resampler(split.group[rows.test])
        return held_out_r2(replace(rows, bootstraps={**rows.bootstraps, "test": boot}), rows.predicted)

    def _apart_boot(self, fitted: Fitted, split: Split) -> GroupBootstrap | None:
        """The test groups without a like context in training."""
        rows = fitted.predictions.test & ~split.neighbour
        return self.resampler(split.group[rows]) if rows.any() else None

    def write(self, result: TempnormResult, data: Opened) -> None:
        """metrics.json: the result without what only the figure shows."""
        write_json(data.out / "metrics.json", {k: v for k, v in shallow(result).items() if k != "shown"})

    def page(self, result: TempnormResult, data: Opened) -> Page:
        """The result as blocks."""
        return tempnorm_page(result, data, is_demonstration(data.store))

    def _left_by_entropy(self, store: Store, data: StoreDataModule) -> tuple[NDArray[np.float64], Targets]:
        """What a regression on the next-token entropy predicts [row, L], and the targets that it leaves."""
        entropy = store.table([ENTROPY]).column(0).to_numpy()
        predicted, left = left_by_entropy(_individual(store, np.arange(len(store))), entropy, data.fold != TEST)
        return predicted, lambda _, rows: left[rows]

    def _data(
        self, store: Store, groups: NDArray[np.str_], targets: Targets | NDArray[np.float64], shuffles: int
    ) -> StoreDataModule:
        return StoreDataModule(
            store,
            features="starting_hidden",
            targets=targets,
            target_names=[f"log_tempnorm_{length}" for length in store.schema.coords["eval_length"]],
            groups=groups,
            test_fraction=self.test_fraction,
            folds=self.folds,
            split_seed=self.seed,
            block_bytes=int(self.block_mb * 1e6),
            shuffles=shuffles,
            shuffle_seed=self.seed,
        )

    def _fit(self, data: StoreDataModule, trainer: Trainer, checkpoints: str) -> tuple[RidgeProbe, StoreDataModule]:
        probe = RidgeProbe(self.penalties, also=[[self.alpha_ridge]])
        trainer.fit(probe, data, checkpoints)
        return probe, data

    def _evaluate(self, solution: Solution, data: StoreDataModule) -> Fitted:
        predictions = predict(solution, data, self.bootstraps, LEVEL, self.seed)
        return Fitted(solution, data, predictions, report(solution, predictions))


def _individual(store: Store, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """[row, generation, eval_length] log-tempnorm of single continuations."""
    return np.asarray(store.field("log_tempnorm").read(rows), np.float64)


def _mean(store: Store, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """[row, eval_length] log of the mean tempnorm over a starting point's continuations."""
    return np.asarray(store.field("log_tempnorm_mean").read(rows), np.float64)
