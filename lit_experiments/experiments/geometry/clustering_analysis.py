"""Clusters of completions: do a model's right solutions fall into groups, and are the groups different methods?

The right completions of each problem are clustered by their latents (k-means; the number by silhouette, held against
one cluster by the gap statistic), shown as their representatives and in a plane, and put before a judge.

    lit-experiments analyze --exp clustering --run runs/clustering
    lit-experiments analyze --exp clustering --judge_enabled true --judge_model openai/gpt-4o

Writes clustering.json, figures and a report; the judge's replies are kept in the run's folder `judge`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from lit_experiments.errors import RunFailed
from lit_experiments.experiments.geometry.answers import CORRECT
from lit_experiments.experiments.geometry.clustering_report import write_report
from lit_experiments.experiments.geometry.distinctness import choose_pairs, summarise
from lit_experiments.experiments.geometry.judge_endpoint import EndpointSettings, JudgeUnavailableError
from lit_experiments.experiments.geometry.judging import JudgeSettings, Panel
from lit_experiments.experiments.geometry.partition import ClusterSettings, Solved, describe, together
from lit_experiments.experiments.geometry.runs import identity, open_run
from lit_experiments.experiments.geometry.solved import (
    Floats,
    Resampling,
    checked_rows,
    chosen_sites,
    verdict_table,
)
from lit_experiments.plain import plain, write_json
from lit_experiments.ranges import at_least
from lit_experiments.statistics.clusters import principal_plane
from stores import Store


class ClusteringAnalysis:
    """Reads a clustering run; writes clusters, verdicts, figures and a report into its results folder."""

    reads: ClassVar[str] = "clustering"

    def __init__(
        self,
        keep: Literal["correct", "all"],
        cluster_layers: list[int] | None,
        n_clusters: int | None,
        most_clusters: int,
        min_completions: int,
        restarts: int,
        references: int,
        bootstraps: int,
        seed: int,
        judge_enabled: bool,
        judge_kind: Literal["endpoint", "local"],
        judge_model: str,
        base_url: str,
        key_variable: str,
        judge_prompt: str,
        judge_pairs: int,
        judge_tokens: int,
        judge_timeout: float,
        judge_retries: int,
        judge_backoff: float,
        judge_minutes: float,
        judge_parallel: int,
    ) -> None:
        """Checks the settings.

        Args:
            keep: Which completions are clustered: correct ones, or all.
            cluster_layers: Blocks whose latents are clustered, each by itself; the first is shown and judged. null
                takes the middle one stored.
            n_clusters: How many clusters; null chooses for each problem.
            most_clusters: How many to choose from at most.
            min_completions: Problems with fewer kept completions are left out (and counted).
            restarts: Starts of k-means, of which the best counts.
            references: Reference sets of the gap statistic.
            bootstraps: Resamples of the bootstrap over problems.
            seed: Seed of k-means, the gap statistic, the pairs shown to the judge, and the bootstrap.
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

        Raises:
            UserError: settings that no data could go with.
        """
        at_least(1, n_clusters=n_clusters, restarts=restarts, judge_pairs=judge_pairs)
        at_least(2, most_clusters=most_clusters, min_completions=min_completions, references=references)
        self.keep, self.cluster_layers, self.min_completions = keep, cluster_layers, min_completions
        self.clusters = ClusterSettings(n_clusters, most_clusters, restarts, references, seed)
        self.resampling, self.seed = Resampling(bootstraps, seed), seed
        self.judge_enabled, self.judge_pairs = judge_enabled, judge_pairs
        where = EndpointSettings(
            judge_model,
            base_url,
            key_variable,
            judge_tokens,
            judge_timeout,
            judge_retries,
            judge_backoff,
            judge_minutes,
        )
        self.judge = JudgeSettings(judge_kind, where, judge_prompt, judge_parallel)

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: the store is of another collection.
        """
        return identity(open_run(run, self.reads, "known_methods"), plain(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result table and where the page is.

        Raises:
            RunFailed: the judge could not be had; all but its verdicts is written.
        """
        store = open_run(run, self.reads, "known_methods")
        sites = chosen_sites(store, self.cluster_layers, "--cluster_layers")
        panel = Panel(self.judge, run / "judge") if self.judge_enabled else None
        rows = checked_rows(store)
        problems, lacking = self._problems(store, rows)
        result: dict[str, Any] = {"keep": self.keep, "verdicts": verdict_table(rows), "problems_asked": len(rows)}
        result |= {"problems_clustered": len(problems), "min_completions": self.min_completions} | lacking
        result["layers"] = [self._layer(store, place, name, problems) for place, name in sites]
        failure = self._judged(result, problems, panel)
        text = write_report(out, result, problems, store, self.judge)
        for layer in result["layers"]:
            layer["together"] = {k: v for k, v in (layer["together"] or {}).items() if k not in ("rows", "plane")}
            for each in layer["problems"]:
                each.pop("plane")
        write_json(out / "clustering.json", result)
        if failure is not None:
            raise RunFailed(
                f"{failure}\n{out} holds the clusters, without verdicts. Next: the same command again; replies so far "
                f"are kept in {run / 'judge'}."
            )
        return text

    def _problems(self, store: Store, rows: pd.DataFrame) -> tuple[list[Solved], dict[str, Any]]:
        """The problems with enough completions to cluster, and counts of what is left out."""
        found, few, short = [], 0, 0
        counted = store["pooled_tokens"]
        for number, row in enumerate(rows.to_dict("records")):
            pooled = counted.read(rows=[number]) > 0
            short += int((~pooled).sum())
            methods = row["known_methods"]
            place = np.flatnonzero(pooled)
            right = np.array([self.keep == "all" or verdict == CORRECT for verdict in row["verdict"]])
            solved = Solved(
                number,
                row["problem_id"],
                row["question"],
                [row["completion_text"][i] for i in place],
                right[place],
                place,
                None if methods is None else [methods[i] or "neither" for i in place],
                np.asarray(row["completion_length"], np.float64)[place],
            )
            if solved.kept.sum() >= self.min_completions:
                found.append(solved)
            else:
                few += 1
        return found, {"problems_with_too_few": few, "completions_too_short": short}

    def _layer(self, store: Store, place: int, name: str, problems: list[Solved]) -> dict[str, Any]:
        latents = [_latents(store, place, solved) for solved in problems]
        each = []
        for solved, z in zip(problems, latents, strict=True):
            kept = z[solved.kept]
            each.append(describe(solved, kept, self.clusters) | {"plane": principal_plane(kept, 2)})
        several = [found["number"] > 1 for found in each]
        return {
            "site": name,
            "problems": each,
            "clusters": self.resampling.mean([float(found["number"]) for found in each]),
            "several": self.resampling.mean([float(value) for value in several]),
            "silhouette": self.resampling.mean([found["silhouette"] for found in each]),
            "rand": self.resampling.mean([found["rand"] for found in each]),
            "rand_of_lengths": self.resampling.mean([found["rand_of_lengths"] for found in each]),
            "together": self._together(problems, latents),
        }

    def _together(self, problems: list[Solved], latents: list[Floats]) -> dict[str, Any] | None:
        if len(problems) < 2:
            return None
        found = together(problems, latents, self.clusters)
        return found | {"plane": principal_plane(found["rows"], 2)}

    def _judged(self, result: dict[str, Any], problems: list[Solved], panel: Panel | None) -> str | None:
        """Puts the judge's findings into the result; returns why it could not be had, if so."""
        result["judge"] = None
        if panel is None or not problems:
            return None
        shown = choose_pairs(problems, result["layers"][0]["problems"], self.judge_pairs, self.seed)
        try:
            judged = panel.ask([each.pair for each in shown])
        except JudgeUnavailableError as error:
            return str(error)
        result["judge"] = {"who": panel.told, **summarise(shown, judged, self.resampling)}
        return None


def _latents(store: Store, place: int, solved: Solved) -> Floats:
    """[completion, hidden] of one problem at one layer."""
    found: Floats = store["latents"].read(rows=[solved.row], layer=place).astype(np.float64)[solved.place]
    return found
