"""Regresses log-tempnorm on the hidden vector of the starting point: one standardised ridge per eval length."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.tempnorm.export import sklearn_files
from lit_experiments.experiments.tempnorm.page import tempnorm_page
from lit_experiments.experiments.tempnorm.result import LengthResult, PredictedTrue, TempnormResult
from lit_experiments.experiments.tempnorm.single_numbers import BASELINES, ENTROPY, compare, left_by_entropy, sentences
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import shallow, write_json
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.evaluate import Predictions, predict
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.result import TargetResult, report, score_part
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.save import save_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.ranges import above, at_least, between, penalty_grid
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened, TrainTask
from lit_experiments.tasks.training import Trainer
from stores import Store

CHECKPOINTS = ("checkpoints", "checkpoints_mean", "checkpoints_beyond")
"""Folders of the three passes: single continuations, starting points' means, what the entropy leaves."""

Targets = Callable[[Store, NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Fitted:
    """One trained set of ridges with what it predicts."""

    solution: Solution
    data: StoreDataModule
    predictions: Predictions
    results: list[TargetResult]


@dataclass(frozen=True)
class Fits:
    """single: ridges of single continuations; mean: of starting points' means; fixed: of single ones, at the fixed
    penalty; with_entropy: [row, L] predictions from the next-token entropy and, of what it leaves, the hidden vector.
    """

    single: Fitted
    mean: Fitted
    fixed: Fitted
    with_entropy: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TempnormRidge(TrainTask[TempnormResult]):
    """Reads a tempnorm store; writes probes, splits and metrics of one ridge per eval length.

    Args:
        penalties: Ridge penalties to choose from, by cross-validation inside the training part.
        alpha_ridge: A fixed penalty, reported next to the chosen one.
        test_fraction: Share of the contexts held out for the test part, with all of their starting points.
        folds: Folds of the cross-validation, by context.
        shuffles: Copies of the targets permuted between contexts, as a control.
        block_mb: Features read at a time, in megabytes.
    """

    penalties: list[float]
    alpha_ridge: float
    test_fraction: float
    folds: int
    shuffles: int
    block_mb: float

    reads: ClassVar[Reads] = Reads("tempnorm", ("starting_hidden", "log_tempnorm", "log_tempnorm_mean"))
    result_type: ClassVar[type] = TempnormResult
    sklearn_files = staticmethod(sklearn_files)

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        between(0, 1, test_fraction=self.test_fraction)
        at_least(2, folds=self.folds)
        at_least(0, shuffles=self.shuffles)
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

    def result(self, data: Opened, trainer: Trainer) -> TempnormResult | None:
        """Trains and evaluates; writes every eval length's probe and split."""
        store = data.store
        single = self._fit(self._data(store, _individual, self.shuffles), trainer, CHECKPOINTS[0])
        mean = self._fit(self._data(store, _mean, self.shuffles), trainer, CHECKPOINTS[1])
        by_entropy, left = self._left_by_entropy(store, single[1])
        beyond = self._fit(self._data(store, left, 0), trainer, CHECKPOINTS[2])
        if not is_rank_zero():
            return None
        fits = Fits(
            self._evaluate(single[0].solution, single[1]),
            self._evaluate(mean[0].solution, mean[1]),
            self._evaluate(single[0].solution_for([self.alpha_ridge]), single[1]),
            by_entropy + self._evaluate(beyond[0].solution, beyond[1]).predictions.predicted,
        )
        _save_probes(store, data.out, fits.single)
        return _result(store, fits)

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

    def _data(self, store: Store, targets: Targets, shuffles: int) -> StoreDataModule:
        return StoreDataModule(
            store,
            features="starting_hidden",
            targets=targets,
            target_names=[f"log_tempnorm_{length}" for length in store.schema.coords["eval_length"]],
            groups=context_groups(store),
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


def _save_probes(store: Store, out: Path, single: Fitted) -> None:
    probe = LinearProbe.of(single.solution, single.data)
    split = single.data.split_ids()
    for length, name in zip(store.schema.coords["eval_length"], probe.targets, strict=True):
        save_probe(probe.only(name), out / f"eval_{length}")
        write_json(out / f"split_eval_{length}.json", split)


def _result(store: Store, fits: Fits) -> TempnormResult:
    lengths = [int(length) for length in store.schema.coords["eval_length"]]
    columns = store.table([*BASELINES])
    numbers = {name: columns.column(name).to_numpy().astype(np.float64) for name in BASELINES}
    alpha = float(store.fingerprint["settings"]["alpha"])
    single = fits.single.predictions
    compared = dict(zip(lengths, compare(single, numbers, fits.with_entropy, lengths, alpha), strict=True))
    in_space = _in_tempnorm_space(fits.mean.predictions)
    per_length = {
        str(length): LengthResult(
            **shallow(fits.single.results[t]),
            **shallow(compared[length]),
            fixed_penalty=fits.fixed.results[t],
            starting_point_mean=fits.mean.results[t],
            tempnorm_space=score_part(in_space, "test", t),
        )
        for t, length in enumerate(lengths)
    }
    held_out = single.bootstraps["test"].n
    return TempnormResult(
        per_length=per_length,
        starting_points=len(store),
        contexts=len(np.unique(single.group)),
        held_out_contexts=held_out,
        against_single_numbers=sentences(compared, held_out),
        generations=int(store.field("log_tempnorm").shape[1]),
        interval_level=LEVEL,
        shown=[_shown(single, t, lengths[t]) for t in dict.fromkeys((0, len(lengths) - 1))],
    )


def _shown(predictions: Predictions, target: int, length: int) -> PredictedTrue:
    true, predicted, _ = predictions.part("test")
    values = true[..., target]
    with warnings.catch_warnings():  # a starting point without a value has no mean
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(values, 1)
    return PredictedTrue(length, predicted[:, target].tolist(), values.ravel().tolist(), mean.tolist())


def context_groups(store: Store) -> NDArray[np.str_]:
    """[row] the group of each starting point: the first sample that has the same context, as the model read it.

    Rows of copies of one context are no independent evidence, wherever the copies stand. A group has the name of its
    first sample, so that splits do not depend on the wording of contexts.
    """
    if "starting_point_ids" not in store.column_names:
        return np.array(store.sample_ids, str)
    wander = int(store.fingerprint["settings"]["initial_wander"])
    first: dict[tuple[int, ...], str] = {}
    rows = zip(store.sample_ids, store.table(["starting_point_ids"]).column(0).to_pylist(), strict=True)
    return np.array([first.setdefault(tuple(ids[: len(ids) - wander]), name) for name, ids in rows], str)


def _individual(store: Store, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """[row, generation, eval_length] log-tempnorm of single continuations."""
    return np.asarray(store.field("log_tempnorm").read(rows), np.float64)


def _mean(store: Store, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """[row, eval_length] log of the mean tempnorm over a starting point's continuations."""
    return np.asarray(store.field("log_tempnorm_mean").read(rows), np.float64)


def _in_tempnorm_space(predictions: Predictions) -> Predictions:
    """The same predictions with targets and predicted values exponentiated; a tempnorm is never above 1."""
    true = np.exp(predictions.true)
    center = np.nanmean(true[~predictions.test], axis=(0, 1))
    return replace(predictions, true=true, predicted=np.exp(np.minimum(predictions.predicted, 0)), center=center)
