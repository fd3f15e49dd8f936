"""Groups among vectors: k-means (by scikit-learn), how many groups there are, and a plane to look at them in.

The number of groups is the one of highest mean silhouette (Rousseeuw 1987), held against no groups at all by the gap
statistic (Tibshirani, Walther and Hastie 2001): silhouettes say nothing of one cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDING = 1e-10  # of the largest singular value
_NOTHING = 1e-12  # a sum of squares below this share of the total counts as this share: its logarithm stays finite


@dataclass(frozen=True)
class Clusters:
    """A partition of rows, the largest cluster first.

    labels: [row] cluster of each row; centroids: [cluster, dim]; representatives: [cluster] the row that lies closest
    to each centroid; inertia: sum of squared distances to the centroids.
    """

    labels: Ints
    centroids: Floats
    representatives: Ints
    inertia: float

    def __len__(self) -> int:
        return len(self.centroids)


@dataclass(frozen=True)
class Choice:
    """How many clusters, and why.

    number: the choice; best: the number of highest silhouette, which is the choice unless one cluster explains the
    rows as well; silhouettes: by number tried; gap_one, gap_best: the gap statistic of one cluster, and of `best`;
    error: the simulation's standard error s of gap_best. NaN where fewer than 3 rows, or 2 that differ, leave nothing
    to try.
    """

    number: int
    best: int
    silhouettes: dict[int, float]
    gap_one: float
    gap_best: float
    error: float


def kmeans(rows: ArrayLike, number: int, *, restarts: int, seed: int) -> Clusters:
    """The best of `restarts` k-means partitions of rows [row, dim] into `number` clusters (k-means++ starts).

    Raises:
        ValueError: fewer distinct rows than clusters.
    """
    from sklearn.cluster import KMeans

    x = np.asarray(rows, np.float64)
    distinct = len(np.unique(x, axis=0))
    if not 1 <= number <= distinct:
        raise ValueError(f"{number} clusters of {distinct} distinct rows")
    unordered = KMeans(number, n_init=restarts, random_state=seed).fit(x).labels_
    order = np.argsort(-np.bincount(unordered, minlength=number), kind="stable")
    labels = np.argsort(order)[unordered].astype(np.int64)
    centroids = np.stack([x[labels == c].mean(0) for c in range(number)])
    squares = np.sum((x - centroids[labels]) ** 2, axis=1)
    closest = [int(np.flatnonzero(labels == c)[np.argmin(squares[labels == c])]) for c in range(number)]
    return Clusters(labels, centroids, np.array(closest, np.int64), float(squares.sum()))


def choose_number(rows: ArrayLike, most: int, *, restarts: int, references: int, seed: int) -> Choice:
    """How many clusters rows [row, dim] form, from 1 to `most`.

    One, unless the best silhouette's number k satisfies Gap(k) - s(k) > Gap(1): Tibshirani's comparison, made with the
    number that would be reported instead of with 2, where the gap may dip although there are more groups.
    """
    from sklearn.metrics import silhouette_score

    x = np.asarray(rows, np.float64)
    most = min(most, len(x) - 1, len(np.unique(x, axis=0)))
    if most < 2:
        return Choice(1, 1, {}, np.nan, np.nan, np.nan)
    tried = {k: kmeans(x, k, restarts=restarts, seed=seed) for k in range(2, most + 1)}
    silhouettes = {k: float(silhouette_score(x, clusters.labels)) for k, clusters in tried.items()}
    best = max(silhouettes, key=lambda k: silhouettes[k])
    (gap_one, _), (gap_best, error) = gap_statistic(x, (1, best), restarts=restarts, references=references, seed=seed)
    return Choice(best if gap_best - error > gap_one else 1, best, silhouettes, gap_one, gap_best, error)


def gap_statistic(
    rows: ArrayLike, numbers: Sequence[int], *, restarts: int, references: int, seed: int
) -> list[tuple[float, float]]:
    """(Gap(k), s(k)) for each k of `numbers`; rows [row, dim].

    Gap(k) = mean over reference sets of log W*(k) - log W(k), with W the within-cluster sum of squares; references are
    uniform in the box around the rows that is aligned with their principal components; s(k) = sd(log W*) *
    sqrt(1 + 1 / references) (Tibshirani et al. 2001, sections 3 and 4, choice b).
    """
    x = np.asarray(rows, np.float64)
    scores = _principal_scores(x)
    total = float(np.sum(scores**2))
    rng = np.random.default_rng(seed)
    boxes = [rng.uniform(scores.min(0), scores.max(0), scores.shape) for _ in range(references)]
    gaps = []
    for k in numbers:
        log_within = _log_within(scores, k, total, restarts, seed)
        reference = np.array([_log_within(box, k, total, restarts, seed) for box in boxes])
        gaps.append((float(reference.mean() - log_within), float(reference.std() * np.sqrt(1 + 1 / references))))
    return gaps


def principal_plane(rows: ArrayLike, components: int) -> tuple[Floats, Floats]:
    """Rows [row, dim] seen along their leading principal components: ([row, component], share of variance [component]).

    Each component's sign is such that its largest score is positive. NaN shares where the rows do not differ.
    """
    scores = _principal_scores(np.asarray(rows, np.float64))
    squares = np.sum(scores**2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = squares / squares.sum()
    shown = scores[:, :components]
    peaks = shown[np.argmax(np.abs(shown), axis=0), np.arange(shown.shape[1])] if len(shown) else np.ones(0)
    return shown * np.where(peaks < 0, -1.0, 1.0), shares[:components]


def _principal_scores(x: Floats) -> Floats:
    """[row, min(row, dim)] coordinates of the rows about their mean, along their principal components."""
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    scores: Floats = u * np.where(s > _ROUNDING * s[:1], s, 0.0)  # what is left of copies is no spread
    return scores


def _log_within(x: Floats, k: int, total: float, restarts: int, seed: int) -> float:
    inertia = float(np.sum((x - x.mean(0)) ** 2)) if k == 1 else kmeans(x, k, restarts=restarts, seed=seed).inertia
    return float(np.log(max(inertia, _NOTHING * total)))
