"""Distances of completions to oracle solutions, from a manifold run: arrays by problem, completion and layer.

Does not know: intervals, reports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.geometry.averages import Floats
from stores import Store


@dataclass(frozen=True)
class Distances:
    """Of the rows of one forced share (0: free), in the order of `problems`.

    to_oracle: [problem, completion, layer] distance of each completion's latent to its own problem's oracle; NaN for a
    completion without a latent. to_others: the same, mean over the other problems' oracles; nearest: 1 where the own
    oracle is nearer than all of them, else 0. verdict: [problem, completion].
    windows: [problem, start, completion, window, layer] distance to the oracle's own mean over the same window; NaN
    where one of the two ends before; `start` runs over the forced shares for free completions, and over one for forced
    ones. forced: [problem] tokens.
    """

    share: float
    problems: list[str]
    to_oracle: Floats
    to_others: Floats
    nearest: Floats
    verdict: NDArray[np.str_]
    windows: Floats
    forced: NDArray[np.int64]


def measure(store: Store, rows: pd.DataFrame, share: float, starts: int) -> Distances | None:
    """The distances of one forced share. rows: the store's, with `verdict`; starts: how many prefixes the windows
    follow. None where there is no row."""
    chosen = np.flatnonzero(rows["forced_share"].to_numpy() == share)
    if not len(chosen):
        return None
    table = rows.iloc[chosen]
    completions = len(table["verdict"].iloc[0])
    oracles = store["oracle_latent"].read(rows=chosen).astype(np.float64)  # [layer, problem, hidden]
    to_oracle = np.empty((len(chosen), completions, len(oracles)))
    to_others, nearest = np.empty_like(to_oracle), np.empty_like(to_oracle)
    windows = []
    for k, row in enumerate(chosen.tolist()):
        latents = store["latents"].read(rows=[row]).astype(np.float64)  # [layer, completion, hidden]
        # One oracle at a time: all differences at once would be as large as all latents times all problems.
        every = np.stack([np.linalg.norm(latents - z[:, None], axis=-1) for z in oracles.swapaxes(0, 1)])
        to_oracle[k] = every[k].T
        rest = np.delete(every, k, axis=0)
        to_others[k] = rest.mean(0).T if len(rest) else np.nan
        closer = (every[k] < rest.min(0)).astype(np.float64) if len(rest) else np.full(every[k].shape, np.nan)
        nearest[k] = np.where(np.isnan(every[k]), np.nan, closer).T
        windows.append(_windows(store, row, completions, starts))
    return Distances(
        share,
        list(table["problem_id"]),
        to_oracle,
        to_others,
        nearest,
        np.array(table["verdict"].tolist()),
        np.stack(windows),
        table["forced_tokens"].to_numpy(np.int64),
    )


def _windows(store: Store, row: int, completions: int, starts: int) -> Floats:
    """[start, completion, window, layer] of one row."""
    means = store["window_latents"].read(rows=[row]).astype(np.float64)  # [layer, completion x window, hidden]
    oracle = store["oracle_window_latents"].read(rows=[row]).astype(np.float64)  # [layer, window, hidden]
    by_window = means.reshape(len(means), completions, oracle.shape[1], means.shape[-1])
    distance = np.linalg.norm(by_window - oracle[:, None], axis=-1)  # [layer, completion, start x window]
    split = distance.reshape(*distance.shape[:2], starts, -1)
    out: Floats = split.transpose(2, 1, 3, 0)
    return out


def per_problem(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """[problem, ...] mean over the chosen completions that have a value; values: [problem, completion, ...], chosen:
    [problem, completion]. NaN where a problem has none."""
    known = np.isfinite(values) & chosen.reshape(*chosen.shape, *(1,) * (values.ndim - 2))
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def slopes(values: Floats) -> Floats:
    """[problem, ...] least-squares slope over windows (per window) of values [problem, window, ...]; NaN where fewer
    than two windows have a value."""
    steps = np.arange(values.shape[1], dtype=np.float64).reshape(1, -1, *(1,) * (values.ndim - 2))
    known = np.isfinite(values)
    count = known.sum(1)
    x = np.where(known, steps, 0.0)
    y = np.where(known, values, 0.0)
    n = np.maximum(count, 1)
    spread = (x * x).sum(1) - x.sum(1) ** 2 / n
    together = (x * y).sum(1) - x.sum(1) * y.sum(1) / n
    return np.divide(together, spread, out=np.full(together.shape, np.nan), where=(count > 1) & (spread > 0))


def repeats(rows: pd.DataFrame, share: float) -> tuple[int, int]:
    """(completions of a share that repeat the oracle token for token, completions)."""
    chosen = rows[rows["forced_share"] == share]
    same = total = 0
    for oracle, completions in zip(chosen["oracle_ids"], chosen["completion_ids"], strict=True):
        same += sum(list(ids)[: len(oracle)] == list(oracle) for ids in completions)
        total += len(completions)
    return same, total
