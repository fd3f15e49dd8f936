"""Collects completions of each problem, free and forced to begin like an oracle solution, and their latents next to
the oracle's.

One row per problem and forced share of the oracle (0: free). Latents are strided means of the residual stream: of the
whole completion, of the whole oracle, and of windows of a few tokens behind the end of each forced prefix, where a
completion has been on its own for one, two, ... windows. Free completions have the windows of all shares, the same
places in the text. Random numbers are the same for all shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.clustering import LATENTS
from lit_experiments.experiments.geometry.collector import (
    COMPLETION_COLUMNS,
    PROBLEM_COLUMNS,
    SampledCollector,
    completion_values,
    problem_values,
)
from lit_experiments.experiments.geometry.oracle import Oracle, oracle_latents, oracle_tokens
from lit_experiments.experiments.geometry.problem_set import pooling_window
from lit_experiments.lm.pool import LatentPool, Pooled, Window
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least
from stores import Column, Field, Records, Schema


@dataclass(frozen=True)
class _Task:
    """One row: an oracle, and the share of it that completions begin with."""

    oracle: Oracle
    share: float


class ManifoldCollector(SampledCollector):
    """For each problem and forced share: sampled completions, their latents, and the oracle's."""

    version: ClassVar[int] = 1
    given: ClassVar[frozenset[str]] = frozenset({"forced_share"})

    def __init__(
        self,
        spec: ModelSpec,
        solution_column: str | None,
        oracle_separator: str,
        oracle_percentage: float | list[float],
        drift_windows: int,
        drift_window_tokens: int,
        temperature: float,
        completions: int,
        max_new_tokens: int,
        latent_sampling_stride: int,
        too_long: Literal["error", "skip"],
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            solution_column: Key or column of the oracle solution (a person's, or a stronger model's); null finds
                solution.
            oracle_separator: What stands between prompt and oracle solution: nothing in a chat, else a space.
            oracle_percentage: Share of the oracle's tokens that completions are forced to begin with, above 0 and at
                most 1; a list sweeps it. Free completions are always collected too.
            drift_windows: Windows behind the end of the prefix in which drift is measured.
            drift_window_tokens: Tokens of each, at least the stride.
            temperature: At which to sample; 0 is greedy.
            completions: How many of each problem and share.
            max_new_tokens: Longest completion, its forced prefix included.
            latent_sampling_stride: Every how many tokens a state is counted.
            too_long: What to do with problems that, with their oracle, do not fit the model's window or whose forced
                prefix fills max_new_tokens: error, or skip (and count).
            kwargs: How to sample, which problems, and how they are asked.

        Raises:
            UserError: settings that contradict each other, or no problem with an oracle solution.
        """
        shares = [oracle_percentage] if isinstance(oracle_percentage, int | float) else oracle_percentage
        _check(shares, completions, drift_windows)
        super().__init__(
            spec,
            max_new_tokens,
            temperature,
            completions,
            latent_sampling_stride,
            solution_column=solution_column,
            too_long=too_long,
            **kwargs,
        )
        pooling_window(latent_sampling_stride, drift_window_tokens, "drift_window_tokens")
        self.shares = [float(share) for share in shares]
        self.drift_windows, self.drift_tokens = drift_windows, drift_window_tokens
        self._manifold_settings = {"oracle_percentage": self.shares, "drift_windows": drift_windows}
        self._manifold_settings |= {"drift_window_tokens": drift_window_tokens, "oracle_separator": oracle_separator}
        self.oracles = self._usable(oracle_separator, too_long)

    def samples(self) -> Sequence[Sample]:
        samples: list[Sample] = []
        for share in [0.0, *self.shares]:
            stage = f"oracle {share:.0%}" if share else "free"
            for oracle in self.oracles:
                longest = max(self.new_tokens, len(oracle.ids))
                tokens = (len(oracle.prompted.ids) + longest) * self.completions
                windows = self._window_count(share)
                lengths = {"generation": self.completions, "window": windows, "span": windows * self.completions}
                name = f"{oracle.prompted.problem.problem_id}/{stage.replace(' ', '-').removesuffix('%')}"
                samples.append(Sample(name, len(samples), tokens, _Task(oracle, share), lengths, stage))
        return samples

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **self._manifold_settings}

    def schema(self) -> Schema:
        layers, hidden = len(self.sites), self.info.d_model
        stacked = (layers, None, hidden)
        fields = (
            Field("latents", ("layer", "generation", "hidden"), stacked, "float16", "", LATENTS, "record"),
            Field("pooled_tokens", ("generation",), (None,), "int32", "tokens", "states behind each latent"),
            Field("window_latents", ("layer", "span", "hidden"), stacked, "float16", "", _WINDOWS, "record"),
            Field("oracle_latent", ("layer", "sample", "hidden"), stacked, "float16", "", _ORACLE),
            Field("oracle_window_latents", ("layer", "window", "hidden"), stacked, "float16", "", _ORACLES, "record"),
        )
        return Schema(fields, (*PROBLEM_COLUMNS, *COMPLETION_COLUMNS, *_COLUMNS), {"layer": list(self.sites)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        tasks: list[_Task] = [sample.payload for sample in batch]
        windows = [self._windows(task) for task in tasks]
        repeated = [behind for behind in windows for _ in range(self.completions)]
        pool = LatentPool(self.sites, [[self.window, *behind] for behind in repeated])
        problems = [task.oracle.prompted for task in tasks]
        forced = [task.oracle.ids[: task.oracle.prefix(task.share)] for task in tasks]
        names = [problem.problem.problem_id for problem in problems]
        continuations, pooled = self.complete(names, problems, self.completions, self.sampling, pool, forced)
        oracles = [task.oracle for task in tasks]
        wholes = [Window(self.stride, len(oracle.ids)) for oracle in oracles]
        read = oracle_latents(
            self.lm, oracles, self.sites, [[whole, *behind] for whole, behind in zip(wholes, windows, strict=True)]
        )
        rows = []
        for number, (sample, task) in enumerate(zip(batch, tasks, strict=True)):
            values = completion_values(self, continuations, number * self.completions, self.completions)
            place = {"sample_id": sample.sample_id, "sample_index": sample.index}
            prefix = {"starts": [w.start for w in windows[number]], "forced": len(forced[number])}
            rows.append({**place, **problem_values(problems[number]), **values, **_oracle_values(task, prefix)})
        return self._records(rows, pooled, read)

    def _records(self, rows: list[dict[str, Any]], pooled: Pooled, oracles: Any) -> Records:
        means = pooled.means.numpy()  # [row, window, site, hidden]
        partial = np.where(pooled.full[:, 1:, None, None].numpy(), means[:, 1:], np.nan)
        flat = partial.reshape(-1, *means.shape[2:])  # a row's completions one after the other, each with its windows
        arrays = {
            "latents": means[:, 0].transpose(1, 0, 2),
            "pooled_tokens": pooled.counts[:, 0].numpy().astype(np.int32),
            "window_latents": flat.transpose(1, 0, 2).astype(np.float32),
            "oracle_latent": oracles[:, 0].transpose(1, 0, 2),
            "oracle_window_latents": oracles[:, 1:].reshape(-1, *oracles.shape[2:]).transpose(1, 0, 2),
        }
        windows = np.full(len(rows), oracles.shape[1] - 1)
        completions = np.full(len(rows), self.completions)
        lengths = {"generation": completions, "window": windows, "span": windows * completions}
        return Records(rows, arrays, lengths)

    def _window_count(self, share: float) -> int:
        return self.drift_windows * (1 if share else len(self.shares))

    def _windows(self, task: _Task) -> list[Window]:
        """The windows behind the prefix; for free completions those behind where each prefix would end."""
        starts = [task.oracle.prefix(share) for share in ([task.share] if task.share else self.shares)]
        width = self.drift_tokens
        return [Window(self.stride, width, start + i * width) for start in starts for i in range(self.drift_windows)]

    def _usable(self, separator: str, too_long: str) -> list[Oracle]:
        """The problems whose oracle can be read and forced; notes count the others."""
        solved = [problem for problem in self.prompted if problem.problem.solution]
        if not solved:
            raise UserError(
                f"None of the {len(self.prompted)} problems has an oracle solution.\nNext: name the column that holds "
                f"a worked solution with --solution_column, or take problems that have one."
            )
        if len(solved) < len(self.prompted):
            self._notes.append(f"without an oracle solution, left out: {len(self.prompted) - len(solved)} problems")
        oracles = [Oracle(problem, oracle_tokens(self.info.tokens, problem, separator)) for problem in solved]
        short = [oracle for oracle in oracles if len(oracle.ids) < self.stride]
        long = [oracle for oracle in oracles if not self._fits(oracle)]
        if long and too_long == "error":
            raise UserError(self._too_long(long))
        if long:
            self._notes.append(f"oracle too long, left out: {len(long)} problems")
        if short:
            self._notes.append(f"oracle shorter than the stride {self.stride}, left out: {len(short)} problems")
        usable = [oracle for oracle in oracles if oracle not in short and oracle not in long]
        if not usable:
            raise UserError(
                f"No oracle is left: {len(short)} have fewer tokens than latent_sampling_stride {self.stride}, "
                f"{len(long)} do not fit.\nNext: lower --latent_sampling_stride, or raise --max_new_tokens."
            )
        return usable

    def _fits(self, oracle: Oracle) -> bool:
        room = self.info.window
        whole = room is None or len(oracle.prompted.ids) + len(oracle.ids) <= room
        return whole and oracle.prefix(max(self.shares)) < self.new_tokens

    def _too_long(self, long: list[Oracle]) -> str:
        shown = ", ".join(
            f"{oracle.prompted.problem.problem_id} ({len(oracle.prompted.ids)} + {len(oracle.ids)} tokens)"
            for oracle in long[:5]
        )
        return (
            f"{len(long)} of {len(self.prompted)} problems have an oracle too long for the window of {self.info.name} "
            f"({self.info.window} tokens), or for max_new_tokens {self.new_tokens}: {shown}. Nothing ran.\n"
            f"Next: --too_long skip leaves them out."
        )


def _check(shares: Sequence[float], completions: int, drift_windows: int) -> None:
    """Raises UserError for settings that no data could go with."""
    if not shares or len(set(shares)) < len(shares) or not all(0 < share <= 1 for share in shares):
        raise UserError(f"oracle_percentage must be above 0 and at most 1, each value once, found {list(shares)}.")
    at_least(1, completions=completions, drift_windows=drift_windows)


def _oracle_values(task: _Task, prefix: dict[str, Any]) -> dict[str, Any]:
    """A row's own columns."""
    return {
        "oracle_ids": task.oracle.ids,
        "forced_share": task.share,
        "forced_tokens": prefix["forced"],
        "window_starts": prefix["starts"],
    }


_WINDOWS = (
    "means over windows behind the prefix, completion after completion; NaN where a completion ends before the window"
)
_ORACLE = "the oracle solution's latent, read by teacher forcing: mean over its tokens k, 2k, ..."
_ORACLES = "the oracle's means over the same windows; NaN where it ends before"
_COLUMNS = (
    Column("oracle_ids", "list<int64>", "the oracle solution's tokens, as they follow the prompt"),
    Column("forced_share", "float64", "share of the oracle that completions begin with; 0: free"),
    Column("forced_tokens", "int64", "that share in tokens"),
    Column("window_starts", "list<int64>", "generated tokens before each window"),
)
