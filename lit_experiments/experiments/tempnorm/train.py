"""Regresses log-tempnorm on the hidden vector of the starting point: one standardised ridge per eval length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.tempnorm.export import sklearn_files
from lit_experiments.experiments.tempnorm.report import write_report
from lit_experiments.experiments.tempnorm.single_numbers import (
    BASELINES,
    ENTROPY,
    compare,
    left_by_entropy,
    sentences,
)
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import plain, write_json
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.evaluate import Predictions, predict
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.result import TargetResult, report, score_part
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.save import save_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.probes.training import fit
from lit_experiments.ranges import above, at_least, between, penalty_grid, seeds
from stores import Store, open_store

LEVEL = 0.95
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


class TempnormRidge:
    """Reads a tempnorm store; writes probes, splits, metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = "tempnorm"
    sklearn_files = staticmethod(sklearn_files)

    def __init__(
        self,
        penalties: list[float],
        alpha_ridge: float,
        test_fraction: float,
        folds: int,
        shuffles: int,
        bootstraps: int,
        block_mb: float,
        seed: int,
    ) -> None:
        """Checks the settings.

        Args:
            penalties: Ridge penalties to choose from, by cross-validation inside the training part.
            alpha_ridge: A fixed penalty, reported beside the chosen one.
            test_fraction: Share of the contexts held out for the test part, with all of their starting points.
            folds: Folds of the cross-validation, by context.
            shuffles: Copies of the targets permuted between contexts, as a control.
            bootstraps: Resamples of the bootstrap over contexts.
            block_mb: Features read at a time, in megabytes.
            seed: Seed of the split, the shuffles and the bootstrap.
        """
        between(0, 1, test_fraction=test_fraction)
        at_least(2, folds=folds)
        at_least(1, bootstraps=bootstraps)
        at_least(0, shuffles=shuffles)
        above(0, alpha_ridge=alpha_ridge, block_mb=block_mb)
        penalty_grid(penalties=penalties)
        seeds(seed=seed)
        self.penalties, self.alpha_ridge = penalties, alpha_ridge
        self.test_fraction, self.folds, self.shuffles = test_fraction, folds, shuffles
        self.bootstraps, self.block_mb, self.seed = bootstraps, block_mb, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from: the store's content and the settings.

        Raises:
            UserError: the store is no tempnorm store, or has too few rows.
        """
        store = open_store(run / "store")
        self._check(store)
        settings = {key: value for key, value in vars(self).items() if key != "block_mb"}
        return {"store": store.fingerprint, "rows": len(store), "settings": settings}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Trains, evaluates, writes everything into `out`; returns the result table and where the figures are."""
        store = open_store(run / "store")
        folders = [out / name for name in CHECKPOINTS]
        single = self._fit(self._data(store, _individual, self.shuffles), trainer, folders[0], checkpoint)
        mean = self._fit(self._data(store, _mean, self.shuffles), trainer, folders[1], checkpoint)
        by_entropy, left = self._left_by_entropy(store, single[1])
        beyond = self._fit(self._data(store, left, 0), trainer, folders[2], checkpoint)
        if not is_rank_zero():
            return ""
        fits = Fits(
            self._evaluate(single[0].solution, single[1]),
            self._evaluate(mean[0].solution, mean[1]),
            self._evaluate(single[0].solution_for([self.alpha_ridge]), single[1]),
            by_entropy + self._evaluate(beyond[0].solution, beyond[1]).predictions.predicted,
        )
        return self._write(store, out, fits)

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

    def _fit(
        self, data: StoreDataModule, trainer: dict[str, Any], checkpoints: Path, checkpoint: str | None
    ) -> tuple[RidgeProbe, StoreDataModule]:
        probe = RidgeProbe(self.penalties)
        fit(probe, data, trainer, checkpoints, checkpoint)
        return probe, data

    def _evaluate(self, solution: Solution, data: StoreDataModule) -> Fitted:
        predictions = predict(solution, data, self.bootstraps, LEVEL, self.seed)
        return Fitted(solution, data, predictions, report(solution, predictions))

    def _write(self, store: Store, out: Path, fits: Fits) -> str:
        single = fits.single
        lengths = store.schema.coords["eval_length"]
        probe = LinearProbe.of(single.solution, single.data)
        split = single.data.split_ids()
        for length, name in zip(lengths, probe.targets, strict=True):
            save_probe(probe.only(name), out / f"eval_{length}")
            write_json(out / f"split_eval_{length}.json", split)
        metrics = self._metrics(store, fits)
        table = write_report(out, metrics, single.predictions, store)
        write_json(out / "metrics.json", metrics)
        return table

    def _metrics(self, store: Store, fits: Fits) -> dict[str, Any]:
        lengths = [int(length) for length in store.schema.coords["eval_length"]]
        columns = store.table([*BASELINES])
        numbers = {name: columns.column(name).to_numpy().astype(np.float64) for name in BASELINES}
        alpha = float(store.fingerprint["settings"]["alpha"])
        single = fits.single.predictions
        compared = dict(zip(lengths, compare(single, numbers, fits.with_entropy, lengths, alpha), strict=True))
        in_space = _in_tempnorm_space(fits.mean.predictions)
        per_length = {}
        for t, length in enumerate(lengths):
            per_length[str(length)] = {
                **fits.single.results[t].to_dict(),
                **plain(compared[length]),
                "fixed_penalty": fits.fixed.results[t].to_dict(),
                "starting_point_mean": fits.mean.results[t].to_dict(),
                "tempnorm_space": plain(score_part(in_space, "test", t)),
            }
        held_out = single.bootstraps["test"].n
        return {
            "per_length": per_length,
            "starting_points": len(store),
            "contexts": len(np.unique(single.group)),
            "held_out_contexts": held_out,
            "against_single_numbers": sentences(compared, held_out),
            "generations": int(store.field("log_tempnorm").shape[1]),
            "interval_level": LEVEL,
        }

    def _check(self, store: Store) -> None:
        names = {field.name for field in store.schema.fields}
        missing = {"starting_hidden", "log_tempnorm", "log_tempnorm_mean"} - names
        if missing:
            raise UserError(
                f"{store.path} is no store of study 1: it lacks {', '.join(sorted(missing))}.\n"
                f"Next: python collect.py --exp {self.reads}, or point --run at such a run."
            )
        least, contexts = 2 * (self.folds + 1), len(set(context_groups(store)))
        if contexts < least:
            raise UserError(
                f"{store.path} holds {len(store)} starting points of {contexts} different contexts; {self.folds} folds "
                f"and a test part need at least {least}.\nNext: collect more contexts, or lower --folds."
            )


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
