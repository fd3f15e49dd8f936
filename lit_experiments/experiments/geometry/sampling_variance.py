"""Collects completions of each problem at several temperatures, and their latents up to several lengths.

One row per problem and temperature. A completion's latent at layer l and checkpoint c is the mean of l's residual
stream over its generated tokens k, 2k, ... up to c; completions that end before a checkpoint have none there. Random
numbers are the same at all temperatures, so that differences between temperatures are not those of luck. At
temperature 0 all completions are one; a few are decoded all the same, as a control: their variance must be 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from lit_experiments.collecting.extending import followed
from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.collector import (
    COMPLETION_COLUMNS,
    PROBLEM_COLUMNS,
    ProblemCollector,
    completion_values,
    problem_values,
)
from lit_experiments.experiments.geometry.problem_set import layer_sites
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.pool import LatentPool, Pooled, Window
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least
from stores import Column, Field, Records, Schema

FEWEST = 2  # completions that have a variance


class SamplingVarianceCollector(ProblemCollector):
    """For each problem and temperature: sampled completions and their pooled latents."""

    version: ClassVar[int] = 1
    given: ClassVar[frozenset[str]] = frozenset({"temperature"})
    growing: ClassVar[frozenset[str]] = frozenset({"temperatures", "sites"})

    def __init__(
        self,
        spec: ModelSpec,
        temperatures: list[float],
        completions: int,
        greedy_completions: int,
        top_p: float,
        top_k: int,
        variance_layers: list[int] | None,
        token_checkpoints: list[int],
        latent_sampling_stride: int,
        keep_trajectories: bool,
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            temperatures: At which to sample; 0 is greedy.
            completions: How many of each problem at each temperature above 0, at least 2.
            greedy_completions: How many at temperature 0, all the same: a control whose variance must be 0.
            top_p: Nucleus of the sampling; 1 keeps everything.
            top_k: Most likely tokens kept; 0 keeps all.
            variance_layers: Blocks whose output is pooled (-1 is the last); null takes all.
            token_checkpoints: Lengths in generated tokens up to which latents are pooled; the last ends a completion.
            latent_sampling_stride: Every how many generated tokens a state is counted.
            keep_trajectories: Store every counted state too, not only their mean; large.
            kwargs: Which problems, and how they are asked.

        Raises:
            UserError: settings that contradict each other.
        """
        self._check(temperatures, completions, greedy_completions, token_checkpoints, latent_sampling_stride)
        super().__init__(spec, token_checkpoints[-1], **kwargs)
        self._sampled: dict[str, Any] = {
            "temperatures": temperatures,
            "top_p": top_p,
            "top_k": top_k,
            "completions": completions,
        }
        self.completions, self.greedy_completions = completions, greedy_completions
        self.checkpoints, self.stride = token_checkpoints, latent_sampling_stride
        self.keep_trajectories = keep_trajectories
        self.sites = layer_sites(variance_layers, self.info, "--variance_layers")
        self.windows = [Window(self.stride, checkpoint) for checkpoint in self.checkpoints]
        self._sampled |= {"greedy_completions": greedy_completions, "token_checkpoints": token_checkpoints}
        self._sampled |= {"latent_sampling_stride": latent_sampling_stride, "keep_trajectories": keep_trajectories}

    @property
    def samplings(self) -> dict[float, Sampling]:
        """How is sampled at each temperature."""
        top_p, top_k = self._sampled["top_p"], self._sampled["top_k"]
        return {temperature: Sampling(temperature, top_p, top_k) for temperature in self._sampled["temperatures"]}

    def widen(self, stored: Mapping[str, Any]) -> None:
        """Temperatures that an existing run has been asked for stay, the new ones come behind them."""
        super().widen({name: values for name, values in stored.items() if name != "temperatures"})
        if "temperatures" in stored:
            self._sampled["temperatures"] = followed(stored["temperatures"], self._sampled["temperatures"])

    def samples(self) -> Sequence[Sample]:
        samples: list[Sample] = []
        for temperature in self.samplings:
            draws = self._draws(temperature)
            for problem in self.prompted:
                tokens = (len(problem.ids) + self.new_tokens) * draws
                lengths = {"generation": draws, "point": draws * (self.checkpoints[-1] // self.stride)}
                payload = {"problem": problem, "temperature": temperature}
                name, stage = f"{problem.problem.problem_id}/T{temperature:g}", f"T = {temperature:g}"
                samples.append(Sample(name, len(samples), tokens, payload, lengths, stage=stage))
        return samples

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **self._sampled, "sites": self.sites}

    def schema(self) -> Schema:
        layers, checkpoints = len(self.sites), len(self.checkpoints)
        shape = (layers, checkpoints, None, self.info.d_model)
        dims = ("layer", "checkpoint", "generation", "hidden")
        fields = [
            Field("latents", dims, shape, "float16", "", _LATENTS, "record"),
            Field("pooled_tokens", dims[1:3], (checkpoints, None), "int32", "tokens", "states behind each latent"),
        ]
        if self.keep_trajectories:
            path = (layers, None, self.info.d_model)
            fields.append(Field("trajectory", ("layer", "point", "hidden"), path, "float16", "", _TRAJECTORY))
        return Schema(
            tuple(fields),
            (*PROBLEM_COLUMNS, Column("temperature", "float64", "0 is greedy"), *COMPLETION_COLUMNS, *_COLUMNS),
            {"layer": list(self.sites), "checkpoint": list(self.checkpoints)},
        )

    def collect(self, batch: Sequence[Sample]) -> Records:
        temperature = batch[0].payload["temperature"]  # a batch is of one stage
        draws = self._draws(temperature)
        problems = [sample.payload["problem"] for sample in batch]
        pool = LatentPool(self.sites, self.windows, self.keep_trajectories)
        names = [problem.problem.problem_id for problem in problems]
        continuations, pooled = self.complete(names, problems, draws, self.samplings[temperature], pool)
        rows = []
        for number, (sample, problem) in enumerate(zip(batch, problems, strict=True)):
            points = [[n for n, _ in path] for path in pool.trajectories[number * draws : (number + 1) * draws]]
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "sample_index": sample.index,
                    **problem_values(problem),
                    "temperature": temperature,
                    **completion_values(self, continuations, number * draws, draws),
                    "trajectory_tokens": points if self.keep_trajectories else None,
                }
            )
        return self._records(rows, pooled.means[_first_alike(continuations, draws)], pooled, pool, draws)

    def _records(
        self, rows: list[dict[str, Any]], latents: Tensor, pooled: Pooled, pool: LatentPool, draws: int
    ) -> Records:
        # The mean of a completion that ended before a checkpoint is no latent of that length.
        means = np.where(pooled.full[..., None, None], latents, np.nan)
        arrays = {
            "latents": means.transpose(2, 1, 0, 3).astype(np.float32),
            "pooled_tokens": pooled.counts.numpy().T.astype(np.int32),
        }
        lengths = {"generation": np.full(len(rows), draws)}
        if self.keep_trajectories:
            states = [state.numpy() for path in pool.trajectories for _, state in path]
            shape = (len(self.sites), 0, self.info.d_model)
            arrays["trajectory"] = np.stack(states, 1) if states else np.empty(shape, np.float32)
            lengths["point"] = np.array([sum(map(len, row["trajectory_tokens"])) for row in rows])
        return Records(rows, arrays, lengths)

    def _draws(self, temperature: float) -> int:
        return self.greedy_completions if temperature == 0 else self.completions

    @staticmethod
    def _check(
        temperatures: list[float], completions: int, greedy_completions: int, checkpoints: list[int], stride: int
    ) -> None:
        if not temperatures or len(set(temperatures)) < len(temperatures):
            raise UserError(f"temperatures must name each one once, at least one, found {temperatures}.")
        at_least(FEWEST, completions=completions, greedy_completions=greedy_completions)  # fewer have no variance
        if not checkpoints or sorted(set(checkpoints)) != checkpoints:
            raise UserError(f"token_checkpoints must rise without repeats, found {checkpoints}.")
        if not 1 <= stride <= checkpoints[0]:
            raise UserError(
                f"latent_sampling_stride must lie between 1 and the first of token_checkpoints, found {stride} and "
                f"{checkpoints[0]}: {checkpoints[0]} tokens hold no {stride}th.\nNext: lower "
                f"--latent_sampling_stride, or raise --token_checkpoints."
            )


def _first_alike(completions: Continuations, draws: int) -> list[int]:
    """For each completion, the first of its problem's with the same tokens, whose latent it shares.

    The same text has the same states; only rounding, which differs from row to row of a batch, would tell them apart,
    and a variance of 0 would come out as some tiny number.
    """
    seen: dict[tuple[int, ...], int] = {}
    return [seen.setdefault((row // draws, *ids), row) for row, ids in enumerate(completions.token_ids.tolist())]


_LATENTS = (
    "mean of the residual stream over the generated tokens k, 2k, ... up to the checkpoint; NaN for a completion that "
    "ended before it"
)
_TRAJECTORY = "the residual stream at the counted tokens, completion after completion (see trajectory_tokens)"
_COLUMNS = (Column("trajectory_tokens", "json", "numbers of each completion's counted tokens, if they are stored"),)
