"""What the ridges of study 1 come to: their probes and splits on disk, and the result from all of the fits.

Fits nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Judged
from lit_experiments.controls.split import Split
from lit_experiments.experiments.tempnorm.result import LengthResult, PredictedTrue, TempnormResult
from lit_experiments.experiments.tempnorm.single_numbers import BASELINES, compare, sentences
from lit_experiments.plain import shallow, write_json
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.result import TargetResult, score_part
from lit_experiments.probes.save import save_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.statistics import LEVEL, Estimate
from stores import Store


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
    judged: list[Judged]
    repeated: list[Estimate]
    apart: list[Estimate] | None
    by_row: list[Estimate] | None


def save_probes(store: Store, out: Path, single: Fitted) -> None:
    probe = LinearProbe.of(single.solution, single.data)
    split = single.data.split_ids()
    for length, name in zip(store.schema.coords["eval_length"], probe.targets, strict=True):
        save_probe(probe.only(name), out / f"eval_{length}")
        write_json(out / f"split_eval_{length}.json", split)


def result_of(store: Store, split: Split, fits: Fits, statements: list[str]) -> TempnormResult:
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
            repeated=fits.repeated[t],
            apart=None if fits.apart is None else fits.apart[t],
            by_row=None if fits.by_row is None else fits.by_row[t],
        )
        for t, length in enumerate(lengths)
    }
    held_out = single.bootstraps["test"].n
    return TempnormResult(
        per_length=per_length,
        starting_points=len(store),
        contexts=len(np.unique(single.group)),
        held_out_contexts=held_out,
        split=split.summary,
        claims=fits.judged,
        statements=statements,
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


def _in_tempnorm_space(predictions: Predictions) -> Predictions:
    """The same predictions with targets and predicted values exponentiated; a tempnorm is never above 1."""
    true = np.exp(predictions.true)
    center = np.nanmean(true[~predictions.test], axis=(0, 1))
    return replace(predictions, true=true, predicted=np.exp(np.minimum(predictions.predicted, 0)), center=center)
