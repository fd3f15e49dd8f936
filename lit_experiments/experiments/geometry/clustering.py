"""Collects many completions of each problem at one temperature, and the latent of each at every layer.

One row per problem. A completion's latent is the mean of the residual stream over its generated tokens k, 2k, ... to
its end. Which completions are right, and which lie together, is for the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lit_experiments.collecting.plan import Sample
from lit_experiments.experiments.geometry.collector import (
    COMPLETION_COLUMNS,
    PROBLEM_COLUMNS,
    SampledCollector,
    completion_values,
    problem_values,
)
from lit_experiments.lm.pool import LatentPool
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import above, at_least
from lit_experiments.sources.generated import solution_method
from lit_experiments.sources.problems import EMBEDDED
from stores import Column, Field, Records, Schema


class ClusteringCollector(SampledCollector):
    """For each problem: sampled completions and their pooled latents."""

    version: ClassVar[int] = 1

    def __init__(
        self,
        spec: ModelSpec,
        temperature: float,
        completions: int,
        max_new_tokens: int,
        latent_sampling_stride: int,
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            temperature: At which to sample, above 0.
            completions: How many of each problem, at least 2.
            max_new_tokens: Longest completion.
            latent_sampling_stride: Every how many generated tokens a state is counted.
            kwargs: How to sample, which problems, and how they are asked.

        Raises:
            UserError: settings that contradict each other.
        """
        above(0, temperature=temperature)  # clusters need different completions
        at_least(2, completions=completions)
        super().__init__(spec, max_new_tokens, temperature, completions, latent_sampling_stride, **kwargs)
        self.methods_known = self.source.problems == EMBEDDED

    def samples(self) -> Sequence[Sample]:
        lengths = {"generation": self.completions}
        return [
            Sample(p.problem.problem_id, i, (len(p.ids) + self.new_tokens) * self.completions, p, lengths)
            for i, p in enumerate(self.prompted)
        ]

    def schema(self) -> Schema:
        shape = (len(self.sites), None, self.info.d_model)
        fields = (
            Field("latents", ("layer", "generation", "hidden"), shape, "float16", "", LATENTS, "record"),
            Field("pooled_tokens", ("generation",), (None,), "int32", "tokens", "states behind each latent"),
        )
        return Schema(fields, (*PROBLEM_COLUMNS, *COMPLETION_COLUMNS, _METHOD), {"layer": list(self.sites)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        problems = [sample.payload for sample in batch]
        pool = LatentPool(self.sites, [self.window])
        names = [problem.problem.problem_id for problem in problems]
        continuations, pooled = self.complete(names, problems, self.completions, self.sampling, pool)
        rows = []
        for number, (sample, problem) in enumerate(zip(batch, problems, strict=True)):
            values = completion_values(self, continuations, number * self.completions, self.completions)
            methods = [solution_method(text) for text in values["completion_text"]] if self.methods_known else None
            place = {"sample_id": sample.sample_id, "sample_index": sample.index}
            rows.append({**place, **problem_values(problem), **values, "known_methods": methods})
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
