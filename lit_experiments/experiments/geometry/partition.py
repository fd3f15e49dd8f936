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

from lit_experiments.experiments.geometry.averages import Floats
from lit_experiments.experiments.geometry.clustering_result import Partition, Plane, ProblemClusters
from lit_experiments.statistics.clusters import Choice, Clusters, choose_number, kmeans, principal_plane


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
        return [value for value, chosen in zip(values, self.kept, strict=True) if chosen]


def agreement(labels: NDArray[np.int64], truth: Sequence[str]) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985, by scikit-learn): 1 the same partition, 0 what chance gives."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(list(truth), labels))


def by_length(tokens: Floats, settings: ClusterSettings) -> NDArray[np.int64]:
    """Labels from the completions' lengths alone: what a clustering of latents has to be better than."""
    return settings.split(tokens[:, None])[0].labels


def describe(problem: Solved, x: Floats, settings: ClusterSettings) -> ProblemClusters:
    """The clusters of one problem's kept completions with latents x [kept, hidden]."""
    methods = None if problem.methods is None else problem.of_kept(problem.methods)
    texts = problem.of_kept(problem.texts)
    clusters, partition = _partition(x, len(set(texts)), methods, problem.tokens[problem.kept], settings)
    representatives = clusters.representatives.tolist()
    return ProblemClusters(
        **vars(partition),
        problem_id=problem.problem_id,
        places=problem.place[problem.kept].tolist(),
        representatives=representatives,
        texts=[texts[row] for row in representatives],
        both_methods=_both(methods),
    )


def together(problems: Sequence[Solved], latents: Sequence[Floats], settings: ClusterSettings) -> Partition:
    """Clusters over all problems; latents: per problem those of all its completions [completion, hidden]."""
    x = np.concatenate([(z - z.mean(0))[p.kept] for p, z in zip(problems, latents, strict=True)])
    lengths = np.concatenate([(p.tokens - p.tokens.mean())[p.kept] for p in problems])
    methods = [m for p in problems if p.methods is not None for m in p.of_kept(p.methods)]
    known = all(p.methods is not None for p in problems)
    texts = {(p.problem_id, text) for p in problems for text in p.of_kept(p.texts)}
    return _partition(x, len(texts), methods if known else None, lengths, settings)[1]


def _partition(
    x: Floats, texts: int, methods: list[str] | None, lengths: Floats, settings: ClusterSettings
) -> tuple[Clusters, Partition]:
    """Clusters of rows x [completion, hidden] of so many distinct texts; lengths: in tokens, [completion]."""
    clusters, choice = settings.split(x)
    scores, shares = principal_plane(x, 2)
    truth = methods if methods is not None and _both(methods) else None
    partition = Partition(
        completions=len(x),
        distinct_texts=texts,
        number=len(clusters),
        choice=choice,
        sizes=np.bincount(clusters.labels).tolist(),
        silhouette=_silhouette(x, clusters.labels),
        rand=math.nan if truth is None else agreement(clusters.labels, truth),
        rand_of_lengths=math.nan if truth is None else agreement(by_length(lengths, settings), truth),
        labels=clusters.labels.tolist(),
        methods=methods,
        plane=Plane(scores.tolist(), shares.tolist()),
    )
    return clusters, partition


def _both(methods: Sequence[str] | None) -> bool:
    return methods is not None and len(set(methods)) > 1


def _silhouette(x: Floats, labels: NDArray[np.int64]) -> float:
    """Mean silhouette; NaN for one cluster."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(x, labels)) if 1 < len(set(labels.tolist())) < len(x) else math.nan
