"""Regresses log-tempnorm on the hidden vector of the starting point: one standardised ridge per eval length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.crew import is_main
from lit_experiments.errors import UserError
from lit_experiments.experiments.tempnorm.report import write_report
from lit_experiments.plain import plain, write_json
from lit_experiments.probes.baselines import univariate
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
BASELINES = {
    "prefix_length": "prefix length",
    "next_token_entropy": "next-token entropy",
    "log_one_step": "log sum p^alpha (exact at L = 1)",
}


@dataclass(frozen=True)
class Fitted:
    """One trained set of ridges with what it predicts."""

    solution: Solution
    data: StoreDataModule
    predictions: Predictions
    results: list[TargetResult]


class TempnormRidge:
    """Reads a tempnorm store; writes probes, splits, metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = "tempnorm"

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
            test_fraction: Share of the starting points held out for the test part.
            folds: Folds of the cross-validation, by starting point.
            shuffles: Copies of the targets permuted between starting points, as a control.
            bootstraps: Resamples of the bootstrap over starting points.
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
        single, single_data = self._fit(store, _individual, trainer, out / "checkpoints", checkpoint)
        mean, mean_data = self._fit(store, _mean, trainer, out / "checkpoints_mean", checkpoint)
        if not is_main():
            return ""
        at_fixed = single.solution_for([self.alpha_ridge])
        return self._write(
            store,
            out,
            self._evaluate(single.solution, single_data),
            self._evaluate(mean.solution, mean_data),
            self._evaluate(at_fixed, single_data),
        )

    def _fit(
        self,
        store: Store,
        targets: Callable[[Store, NDArray[np.int64]], NDArray[np.float64]],
        trainer: dict[str, Any],
        checkpoints: Path,
        checkpoint: str | None,
    ) -> tuple[RidgeProbe, StoreDataModule]:
        data = StoreDataModule(
            store,
            features="starting_hidden",
            targets=targets,
            target_names=[f"log_tempnorm_{length}" for length in store.schema.coords["eval_length"]],
            groups="sample_id",
            test_fraction=self.test_fraction,
            folds=self.folds,
            split_seed=self.seed,
            block_bytes=int(self.block_mb * 1e6),
            shuffles=self.shuffles,
            shuffle_seed=self.seed,
        )
        probe = RidgeProbe(self.penalties)
        fit(probe, data, trainer, checkpoints, checkpoint)
        return probe, data

    def _evaluate(self, solution: Solution, data: StoreDataModule) -> Fitted:
        predictions = predict(solution, data, self.bootstraps, LEVEL, self.seed)
        return Fitted(solution, data, predictions, report(solution, predictions))

    def _write(self, store: Store, out: Path, single: Fitted, mean: Fitted, fixed: Fitted) -> str:
        lengths = store.schema.coords["eval_length"]
        probe = LinearProbe.of(single.solution, single.data)
        split = single.data.split_ids()
        for length, name in zip(lengths, probe.targets, strict=True):
            save_probe(probe.only(name), out / f"eval_{length}")
            write_json(out / f"split_eval_{length}.json", split)
        metrics = self._metrics(store, single, mean, fixed)
        table = write_report(out, metrics, single.predictions, store)
        write_json(out / "metrics.json", metrics)
        return table

    def _metrics(self, store: Store, single: Fitted, mean: Fitted, fixed: Fitted) -> dict[str, Any]:
        columns = store.table([*BASELINES]).to_pydict()
        baselines = {name: univariate(single.predictions, columns[name]) for name in BASELINES}
        in_space = _in_tempnorm_space(mean.predictions)
        per_length = {}
        for t, length in enumerate(store.schema.coords["eval_length"]):
            per_length[str(length)] = {
                **single.results[t].to_dict(),
                "baselines": {name: values[t].to_dict() for name, values in baselines.items()},
                "fixed_penalty": fixed.results[t].to_dict(),
                "starting_point_mean": mean.results[t].to_dict(),
                "tempnorm_space": plain(score_part(in_space, "test", t)),
            }
        return {
            "per_length": per_length,
            "starting_points": len(store),
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
        least = 2 * (self.folds + 1)
        if len(store) < least:
            raise UserError(
                f"{store.path} holds {len(store)} starting points; {self.folds} folds and a test part need at least "
                f"{least}.\nNext: collect more contexts, or lower --folds."
            )


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
