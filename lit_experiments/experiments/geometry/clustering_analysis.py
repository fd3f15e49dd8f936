"""Clusters of completions: do a model's right solutions fall into groups, and are the groups different methods?

The right completions of each problem are clustered by their latents (k-means; the number by silhouette, held against
one cluster by the gap statistic), shown as their representatives and in a plane, and put before a judge.

    lit-experiments analyze --exp clustering --run runs/clustering
    lit-experiments analyze --exp clustering --judge_enabled true --judge_model openai/gpt-4o

The judge's replies are kept in the run's folder `judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from lit_experiments.errors import RunFailed
from lit_experiments.experiments.geometry.answers import CORRECT
from lit_experiments.experiments.geometry.averages import Floats, problem_mean
from lit_experiments.experiments.geometry.checked_completions import checked_rows, verdict_counts
from lit_experiments.experiments.geometry.clustering_page import clustering_page
from lit_experiments.experiments.geometry.clustering_result import ClusteringResult, LayerClusters
from lit_experiments.experiments.geometry.distinctness import choose_pairs, summarise
from lit_experiments.experiments.geometry.judge_endpoint import EndpointSettings, JudgeUnavailableError
from lit_experiments.experiments.geometry.judging import JudgeSettings, Panel
from lit_experiments.experiments.geometry.partition import ClusterSettings, Solved, describe, together
from lit_experiments.experiments.geometry.stored_layers import layer_names, stored_layers
from lit_experiments.ranges import at_least
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.intervals import GAP, SHARE, Scale
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store


@dataclass(frozen=True, kw_only=True)
class ClusteringAnalysis(AnalyzeTask[ClusteringResult]):
    """Clusters of each problem's completions, and whether a judge finds them to be different methods.

    Args:
        keep: Which completions are clustered: correct ones, or all.
        cluster_layers: Blocks whose latents are clustered, each by itself; the first is shown and judged. null takes
            the middle one stored.
        n_clusters: How many clusters; null chooses for each problem.
        most_clusters: How many to choose from at most.
        min_completions: Problems with fewer kept completions are left out (and counted).
        restarts: Starts of k-means, of which the best counts.
        references: Reference sets of the gap statistic.
        judge_enabled: Ask a language model whether clusters are different methods.
        judge_kind: An OpenAI-compatible endpoint, or a local model by its next-token scores.
        judge_model: The endpoint's name for the model; for a local one a Hub id or folder.
        base_url: The endpoint's address, without /chat/completions.
        key_variable: Environment variable, or line of a .env file, that holds the endpoint's key.
        judge_prompt: What the judge is shown, with {question}, {first} and {second}; how to answer is added.
        judge_pairs: Most pairs of a problem between clusters, and as many within.
        judge_tokens: Longest reply.
        judge_timeout: Seconds for one request.
        judge_retries: Further attempts after a failed request.
        judge_backoff: Seconds before the first of them; doubled each time.
        judge_minutes: For all requests together.
        judge_parallel: Requests at a time.
    """

    keep: Literal["correct", "all"]
    cluster_layers: list[int] | None
    n_clusters: int | None
    most_clusters: int
    min_completions: int
    restarts: int
    references: int
    judge_enabled: bool
    judge_kind: Literal["endpoint", "local"]
    judge_model: str
    base_url: str
    key_variable: str
    judge_prompt: str
    judge_pairs: int
    judge_tokens: int
    judge_timeout: float
    judge_retries: int
    judge_backoff: float
    judge_minutes: float
    judge_parallel: int

    reads: ClassVar[Reads] = Reads("clustering", ("known_methods", "pooled_tokens", "latents"))
    result_type: ClassVar[type] = ClusteringResult

    def check(self) -> None:
        """Raises UserError for numbers that are too small, and for a judge that could not be asked."""
        at_least(1, n_clusters=self.n_clusters, restarts=self.restarts, judge_pairs=self.judge_pairs)
        at_least(2, most_clusters=self.most_clusters, min_completions=self.min_completions, references=self.references)
        self._judge_settings()

    def check_data(self, data: Opened) -> None:
        """Raises UserError for a block that is not stored."""
        self._places(data)

    def result(self, data: Opened) -> ClusteringResult:
        """Clusters every problem's completions at every layer asked for, and puts pairs of them before the judge."""
        panel = Panel(self._judge_settings(), data.run / "judge") if self.judge_enabled else None
        rows = checked_rows(data.store)
        everything = [_solved(data.store, number, row, self.keep) for number, row in enumerate(rows.to_dict("records"))]
        problems = [problem for problem in everything if problem.kept.sum() >= self.min_completions]
        result = ClusteringResult(
            keep=self.keep,
            verdicts=verdict_counts(rows),
            problems_asked=len(rows),
            problems_clustered=len(problems),
            min_completions=self.min_completions,
            problems_with_too_few=len(rows) - len(problems),
            completions_too_short=sum(len(v) for v in rows["verdict"]) - sum(len(p.texts) for p in everything),
            layers=[self._layer(data.store, place, problems) for place in self._places(data)],
            judge=None,
            judge_failure=None,
        )
        return result if panel is None or not problems else self._judged(result, problems, panel)

    def page(self, result: ClusteringResult, data: Opened) -> Page:
        """Clusters, their representatives, and what the judge says."""
        return clustering_page(result, self._judge_settings(), is_demonstration(data.store))

    def _finish(self, result: ClusteringResult, data: Opened) -> str:
        """Writes everything.

        Raises:
            RunFailed: the judge could not be had; all but its verdicts is written.
        """
        summary = super()._finish(result, data)
        if result.judge_failure is not None:
            raise RunFailed(
                f"{result.judge_failure}\n{data.out} holds the clusters, without verdicts. Next: the same command "
                f"again; replies so far are kept in {data.run / 'judge'}."
            )
        return summary

    def _places(self, data: Opened) -> list[int]:
        return stored_layers(data.store, self.cluster_layers, "--cluster_layers")

    def _cluster_settings(self) -> ClusterSettings:
        return ClusterSettings(self.n_clusters, self.most_clusters, self.restarts, self.references, self.seed)

    def _judge_settings(self) -> JudgeSettings:
        endpoint = EndpointSettings(
            model=self.judge_model,
            base_url=self.base_url,
            key_variable=self.key_variable,
            tokens=self.judge_tokens,
            timeout=self.judge_timeout,
            retries=self.judge_retries,
            backoff=self.judge_backoff,
            minutes=self.judge_minutes,
        )
        return JudgeSettings(self.judge_kind, endpoint, self.judge_prompt, self.judge_parallel)

    def _layer(self, store: Store, place: int, problems: list[Solved]) -> LayerClusters:
        latents = [_latents(store, place, problem) for problem in problems]
        settings = self._cluster_settings()
        clusters = [describe(p, z[p.kept], settings) for p, z in zip(problems, latents, strict=True)]
        return LayerClusters(
            site=layer_names(store)[place],
            problems=clusters,
            clusters=self._mean([c.number for c in clusters]),
            several=self._mean([c.number > 1 for c in clusters], SHARE),
            silhouette=self._mean([c.silhouette for c in clusters], GAP),
            rand=self._mean([c.rand for c in clusters]),
            rand_of_lengths=self._mean([c.rand_of_lengths for c in clusters]),
            together=together(problems, latents, settings) if len(problems) > 1 else None,
        )

    def _mean(self, values: Sequence[float], within: Scale | None = None) -> Estimate:
        return problem_mean(values, self.resampler, within)

    def _judged(self, result: ClusteringResult, problems: list[Solved], panel: Panel) -> ClusteringResult:
        """The result with the judge's findings, or with why it could not be had."""
        shown = choose_pairs(problems, result.problems, self.judge_pairs, self.seed)
        try:
            comparisons = panel.ask([pair.pair for pair in shown])
        except JudgeUnavailableError as error:
            return replace(result, judge_failure=str(error))
        return replace(result, judge=summarise(shown, comparisons, panel.who, self.resampler))


def _solved(store: Store, number: int, row: pd.Series, keep: str) -> Solved:
    """The completions of a problem that have a latent. number: of its row in the store."""
    place = np.flatnonzero(store["pooled_tokens"].read(rows=[number]) > 0)
    methods = row["known_methods"]
    return Solved(
        row=number,
        problem_id=row["problem_id"],
        question=row["question"],
        texts=[row["completion_text"][i] for i in place],
        kept=np.array([keep == "all" or verdict == CORRECT for verdict in row["verdict"]])[place],
        place=place,
        methods=None if methods is None else [methods[i] or "neither" for i in place],
        tokens=np.asarray(row["completion_length"], np.float64)[place],
    )


def _latents(store: Store, layer: int, problem: Solved) -> Floats:
    """[completion, hidden] of one problem at one layer."""
    latents: Floats = store["latents"].read(rows=[problem.row], layer=layer).astype(np.float64)[problem.place]
    return latents
