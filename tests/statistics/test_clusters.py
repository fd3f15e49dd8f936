"""Clusters: planted ones are found and counted, one blob stays one, the gap statistic is what its authors define."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from lit_experiments.statistics.clusters import choose_number, gap_statistic, kmeans, principal_plane

SETTINGS = {"restarts": 5, "references": 20, "seed": 0}


def planted(groups: int, rows: int, dims: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % groups
    centres = 6 * rng.normal(size=(groups, dims)) / np.sqrt(dims) * np.sqrt(8)
    return centres[labels] + rng.normal(size=(rows, dims)), labels


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("dims", [4, 200])
def test_planted_clusters_are_counted_and_recovered(groups: int, dims: int) -> None:
    x, labels = planted(groups, 40, dims, seed=groups)
    choice = choose_number(x, 7, **SETTINGS)
    assert choice.number == choice.best == groups
    assert adjusted_rand_score(labels, kmeans(x, groups, restarts=5, seed=0).labels) == 1


@pytest.mark.parametrize("shape", ["round", "long", "wide"])
def test_one_blob_is_one_cluster_though_a_silhouette_always_finds_more(shape: str) -> None:
    dims = 200 if shape == "wide" else 6
    scale = np.geomspace(10, 1, dims) if shape == "long" else np.ones(dims)
    for seed in range(4):
        choice = choose_number(np.random.default_rng(seed).normal(size=(40, dims)) * scale, 4, **SETTINGS)
        assert choice.best >= 2
        assert choice.number == 1


def test_the_gap_statistic_is_its_definition() -> None:
    x = planted(2, 20, 3, seed=1)[0]
    [(gap, error)] = gap_statistic(x, [2], restarts=5, references=8, seed=3)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    turned = u * s
    rng, logs = np.random.default_rng(3), []
    for _ in range(8):
        box = rng.uniform(turned.min(0), turned.max(0), turned.shape)
        logs.append(np.log(KMeans(2, n_init=5, random_state=3).fit(box).inertia_))
    observed = np.log(KMeans(2, n_init=5, random_state=3).fit(turned).inertia_)
    assert gap == pytest.approx(np.mean(logs) - observed)
    assert error == pytest.approx(np.std(logs) * np.sqrt(1 + 1 / 8))


def test_the_largest_cluster_comes_first_and_the_representative_is_the_closest_row() -> None:
    x = np.array([[0.0], [1.0], [10.0], [11.0], [12.5], [13.0]])
    clusters = kmeans(x, 2, restarts=3, seed=0)
    assert clusters.labels.tolist() == [1, 1, 0, 0, 0, 0]
    assert clusters.centroids.ravel().tolist() == [11.625, 0.5]
    assert clusters.representatives.tolist() == [3, 0]
    assert clusters.inertia == pytest.approx(np.sum((x[2:] - 11.625) ** 2) + 0.5)


def test_too_little_is_one_cluster_and_copies_are_not_split() -> None:
    assert choose_number(np.eye(2), 5, **SETTINGS).number == 1
    copies = np.repeat(np.eye(2), [4, 6], axis=0)
    assert choose_number(np.ones((9, 3)), 5, **SETTINGS).number == 1
    assert choose_number(copies, 5, **SETTINGS).number == 2
    with pytest.raises(ValueError, match="3 clusters of 2 distinct rows"):
        kmeans(copies, 3, restarts=1, seed=0)


def test_the_plane_equals_scikit_learns() -> None:
    x = planted(3, 30, 5, seed=2)[0]
    pca = PCA(2).fit(x)
    seen, shares = principal_plane(x, 2)
    assert np.abs(seen) == pytest.approx(np.abs(pca.transform(x)))
    assert shares == pytest.approx(pca.explained_variance_ratio_)
    assert (seen[np.abs(seen).argmax(0), [0, 1]] > 0).all()
    assert np.isnan(principal_plane(np.ones((4, 3)), 2)[1]).all()
