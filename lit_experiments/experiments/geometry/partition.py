"""Clusters of one problem's completions, and of all problems' together: pure functions on latents.

Within a problem, latents differ by how it is solved; between problems they differ most by what is asked. So each
problem is clustered by itself; together only after each problem's mean latent, over all its completions right and
wrong, has been taken away (over the right ones alone the mean would move with the share of each method).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics.clusters import Choice, Clusters, choose_number, kmeans

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClusterSettings:
    """number: of clusters, None to choose; most: to choose from; restarts: of k-means; references: of the gap
    statistic."""

    number: int | None
    most: int
    restarts: int
    references: int
    seed: int

    def split(self, x: Floats) -> tuple[Clusters, Choice | None]:
        """The clusters of rows, and why there are so many (None when the number was given).

        A given number is lowered to the number of distinct rows.
        """
        choice, number = None, self.number
        if number is None:
            choice = choose_number(x, self.most, restarts=self.restarts, references=self.references, seed=self.seed)
            number = choice.number
        number = min(number, len(np.unique(x, axis=0)))
        return kmeans(x, number, restarts=self.restarts, seed=self.seed), choice


@dataclass(frozen=True)
class Solved:
    """One problem's completions that have a latent.

    row: the problem's in the store; kept: bool [completion], those to cluster; place: [completion] number among all of
    the problem's completions; methods: the known method of each, None where the source has none; tokens: [completion]
    their lengths.
    """

    row: int
    problem_id: str
    question: str
    texts: list[str]
    kept: NDArray[np.bool_]
    place: NDArray[np.int64]
    methods: list[str] | None
    tokens: Floats

    def of_kept(self, values: Sequence[Any]) -> list[Any]:
        """The entries of the kept completions."""
        return [value for value, kept in zip(values, self.kept, strict=True) if kept]


def agreement(labels: NDArray[np.int64], truth: Sequence[str]) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985, by scikit-learn): 1 the same partition, 0 what chance gives."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(list(truth), labels))


def by_length(tokens: Floats, settings: ClusterSettings) -> NDArray[np.int64]:
    """Labels from the completions' lengths alone: what a clustering of latents has to be better than."""
    return settings.split(tokens[:, None])[0].labels


def describe(problem: Solved, x: Floats, settings: ClusterSettings) -> dict[str, Any]:
    """Everything about the clusters of one problem's kept completions with latents x [kept, hidden]."""
    clusters, choice = settings.split(x)
    methods = problem.of_kept(problem.methods) if problem.methods is not None else None
    both = methods is not None and len(set(methods)) > 1
    lengths = by_length(problem.tokens[problem.kept], settings) if both else None
    texts = problem.of_kept(problem.texts)
    return {
        "problem_id": problem.problem_id,
        "completions": len(x),
        "distinct_texts": len(set(texts)),
        "number": len(clusters),
        "choice": choice,
        "silhouette": _silhouette(x, clusters.labels),
        "labels": clusters.labels,
        "places": problem.place[problem.kept],
        "representatives": clusters.representatives,
        "sizes": np.bincount(clusters.labels),
        "methods": methods,
        "both_methods": both,
        "rand": agreement(clusters.labels, methods) if methods is not None and both else math.nan,
        "rand_of_lengths": agreement(lengths, methods) if methods is not None and lengths is not None else math.nan,
    }


def together(problems: Sequence[Solved], latents: Sequence[Floats], settings: ClusterSettings) -> dict[str, Any]:
    """Clusters over all problems; latents: per problem those of all its completions [completion, hidden]."""
    x = np.concatenate([(z - z.mean(0))[p.kept] for p, z in zip(problems, latents, strict=True)])
    clusters, choice = settings.split(x)
    lengths = np.concatenate([(p.tokens - p.tokens.mean())[p.kept] for p in problems])
    known = all(p.methods is not None for p in problems)
    methods = [m for p in problems if p.methods is not None for m in p.of_kept(p.methods)]
    both = known and len(set(methods)) > 1
    texts = {(p.problem_id, text) for p in problems for text in p.of_kept(p.texts)}
    return {
        "completions": len(x),
        "distinct_texts": len(texts),
        "number": len(clusters),
        "choice": choice,
        "sizes": np.bincount(clusters.labels),
        "silhouette": _silhouette(x, clusters.labels),
        "rand": agreement(clusters.labels, methods) if both else math.nan,
        "rand_of_lengths": agreement(by_length(lengths, settings), methods) if both else math.nan,
        "labels": clusters.labels,
        "methods": methods if known else None,
        "rows": x,
    }


def _silhouette(x: Floats, labels: NDArray[np.int64]) -> float:
    """Mean silhouette; NaN for one cluster."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(x, labels)) if 1 < len(set(labels.tolist())) < len(x) else math.nan
