"""Collects many completions of each problem at one temperature, and the latent of each at every layer.

One row per problem. A completion's latent is the mean of the residual stream over its generated tokens k, 2k, ... to
its end. Which completions are right, and which lie together, is for the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.plan import Sample
from lit_experiments.experiments.geometry.collector import (
    COMPLETION_COLUMNS,
    PROBLEM_COLUMNS,
    ProblemCollector,
    completion_values,
    problem_values,
)
from lit_experiments.experiments.geometry.problem_set import ProblemSettings, layer_sites, pooling_window
from lit_experiments.lm.pool import LatentPool
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import above, at_least
from lit_experiments.sources.generated import solution_method
from lit_experiments.sources.problems import EMBEDDED
from stores import Column, Field, Records, Schema


class ClusteringCollector(ProblemCollector):
    """For each problem: sampled completions and their pooled latents."""

    version: ClassVar[int] = 1

    def __init__(
        self,
        spec: ModelSpec,
        problems: str,
        num_problems: int | None,
        question_column: str | None,
        answer_column: str | None,
        solution_column: str | None,
        id_column: str | None,
        prompt: str,
        chat_template: bool,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        temperature: float,
        completions: int,
        top_p: float,
        top_k: int,
        layers: list[int] | None,
        max_new_tokens: int,
        latent_sampling_stride: int,
        seed: int,
        too_long: Literal["error", "skip"],
        malformed: Literal["stop", "skip"],
        quoting: Literal["auto", "standard", "none"],
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            problems: JSONL, CSV or other data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or "embedded".
            num_problems: How many, drawn at random (generated, for "embedded"); null takes all.
            question_column: Key or column of the question; null finds question or problem.
            answer_column: Key or column of the final answer; null finds answer.
            solution_column: Key or column of the worked solution; null finds solution.
            id_column: Key or column of the id; null finds the usual ones.
            prompt: Template with {question}.
            chat_template: Put the prompt into the tokenizer's chat template.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of the prompt; null for none.
            temperature: At which to sample, above 0.
            completions: How many of each problem, at least 2.
            top_p: Nucleus of the sampling; 1 keeps everything.
            top_k: Most likely tokens kept; 0 keeps all.
            layers: Blocks whose output is pooled (-1 is the last); null takes all.
            max_new_tokens: Longest completion.
            latent_sampling_stride: Every how many generated tokens a state is counted.
            seed: Seed of the choice of problems and of all sampling.
            too_long: What to do with problems that do not fit the model's window: error, or skip (and count).
            malformed: At a malformed record: stop, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.

        Raises:
            UserError: settings that contradict each other.
        """
        above(0, temperature=temperature)  # clusters need different completions
        at_least(2, completions=completions)
        columns = (question_column, answer_column, solution_column, id_column)
        chosen = ProblemSettings(
            problems,
            num_problems,
            columns,
            prompt,
            chat_template,
            seed,
            too_long,
            malformed,
            quoting,
            chat_options,
            system_prompt,
        )
        self.window = pooling_window(latent_sampling_stride, max_new_tokens, "max_new_tokens")
        super().__init__(spec, chosen, max_new_tokens)
        self.sampling, self.completions = Sampling(temperature, top_p, top_k), completions
        self.sites = layer_sites(layers, self.info, "--layers")
        self.methods_known = problems == EMBEDDED
        self._own = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "completions": completions}
        self._own["latent_sampling_stride"] = latent_sampling_stride

    def samples(self) -> Sequence[Sample]:
        lengths = {"generation": self.completions}
        return [
            Sample(each.problem.problem_id, i, (len(each.ids) + self.new_tokens) * self.completions, each, lengths)
            for i, each in enumerate(self.asked)
        ]

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **self._own, "sites": self.sites}

    def schema(self) -> Schema:
        shape = (len(self.sites), None, self.info.d_model)
        fields = (
            Field("latents", ("layer", "generation", "hidden"), shape, "float16", "", LATENTS, "record"),
            Field("pooled_tokens", ("generation",), (None,), "int32", "tokens", "states behind each latent"),
        )
        return Schema(fields, (*PROBLEM_COLUMNS, *COMPLETION_COLUMNS, _METHOD), {"layer": list(self.sites)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        asked = [sample.payload for sample in batch]
        pool = LatentPool(self.sites, [self.window])
        names = [each.problem.problem_id for each in asked]
        drawn, pooled = self.complete(names, asked, self.completions, self.sampling, pool)
        rows = []
        for number, (sample, each) in enumerate(zip(batch, asked, strict=True)):
            values = completion_values(self, drawn, number * self.completions, self.completions)
            methods = [solution_method(text) for text in values["completion_text"]] if self.methods_known else None
            place = {"sample_id": sample.sample_id, "sample_index": sample.index}
            rows.append({**place, **problem_values(each), **values, "known_methods": methods})
        arrays = {
            "latents": pooled.means[:, 0].permute(1, 0, 2).float().numpy(),
            "pooled_tokens": pooled.counts[:, 0].numpy().astype(np.int32),
        }
        return Records(rows, arrays, {"generation": np.full(len(rows), self.completions)})


LATENTS = (
    "mean of the residual stream over the generated tokens k, 2k, ... of a completion; NaN for one of fewer than k"
)
_METHOD = Column(
    "known_methods", "json", "embedded problems: which of the two methods each completion follows, null for neither"
)
