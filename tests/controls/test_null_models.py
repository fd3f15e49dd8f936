"""Models without states find what takes neighbours, three words at once, or a range; bends of two values are one."""

from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from lit_experiments.controls.null_inputs import bends
from lit_experiments.controls.null_models import (
    PENALTIES,
    TEXT_WIDTHS,
    WIDTHS,
    ridge_path,
    smoothed,
    term_means,
    text_distances,
    with_pairs,
)


def test_neighbours_in_the_data_tell_a_walk() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=400))[:, None]
    place = np.arange(400.0)
    held = place % 5 == 0
    distance = np.abs(place[held][:, None] - place[~held])
    narrow = smoothed(distance, walk[~held], WIDTHS)[0]
    assert 1 - ((narrow - walk[held]) ** 2).mean() / walk[held].var() > 0.95


def test_a_row_far_from_all_others_has_the_nearest_ones_value() -> None:
    predicted = smoothed(np.array([[1e6 + 1, 1e6]]), np.array([[0.0], [1.0]]), (1.0, 3.0))
    assert np.isfinite(predicted).all()
    assert predicted[0, 0, 0] > 0.7


def test_like_texts_tell_the_label_of_a_copy_that_was_changed() -> None:
    rng = np.random.default_rng(2)
    vectors = csr_matrix(np.repeat(np.eye(60), 3, 0) + 0.1 * rng.random((180, 60)))
    vectors = normalize(vectors)
    labels = np.repeat(rng.normal(size=60), 3)[:, None]
    held = np.arange(180) % 3 == 0
    predicted = smoothed(text_distances(vectors[held], vectors[~held]), labels[~held], TEXT_WIDTHS)[0]
    assert np.corrcoef(predicted[:, 0], labels[held, 0])[0, 1] > 0.95


def test_three_features_of_which_no_two_tell_anything_are_multiplied() -> None:
    rng = np.random.default_rng(1)
    bits = np.tile([*product([0.0, 1.0], repeat=3)], (30, 1))
    noise = rng.integers(0, 2, (240, 10)).astype(float)
    odd = (bits.sum(1) % 2)[:, None]
    table = np.concatenate([bits, noise], 1)
    inside, _ = with_pairs(table, odd, table, np.arange(13))
    best = np.abs(inside.T @ (odd - odd.mean())).max() / 240
    assert best > 0.49  # the product of all three is the label


def test_a_number_with_two_values_has_no_bends() -> None:
    numbers = np.stack([np.arange(50.0), np.arange(50) % 2], 1)
    train = np.arange(50) < 40
    assert bends(numbers, train).shape[1] == bends(numbers[:, :1], train).shape[1] + 1


def test_a_word_in_a_few_texts_tells_their_label() -> None:
    """Every text has one word of twenty whose texts have one label, among words that are in all kinds of texts."""
    rng = np.random.default_rng(3)
    telling = rng.integers(0, 20, 120)
    there = np.concatenate([np.eye(20)[telling], rng.random((120, 60)) < 0.2], 1)
    labels = (telling < 10).astype(np.float64)[:, None]
    held = np.arange(120) % 4 == 0
    counts = csr_matrix(there)
    means = term_means(counts[~held], labels[~held], counts[held])
    known = np.isin(telling[held], telling[~held])
    assert ((means[-1] > 0.5) == labels[held])[known].mean() > 0.9
    assert np.isfinite(term_means(counts[~held], labels[~held], csr_matrix((1, 80)))).all()


@pytest.mark.parametrize("kind", ["narrow", "wide", "sparse"])
def test_ridges_are_those_of_scikit_learn(kind: str) -> None:
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(1, 2, (40, 90 if kind == "wide" else 7)), rng.normal(1, 2, (9, 90))
    held_out, y = held_out[:, : train.shape[1]], rng.normal(3, 1, (40, 2))
    scale = float(((train - train.mean(0)) ** 2).sum()) / len(train)
    as_given = csr_matrix if kind == "sparse" else np.asarray
    path = ridge_path(as_given(train), y, as_given(held_out))
    for predicted, penalty in zip(path, PENALTIES, strict=True):
        expected = Ridge(alpha=penalty * scale).fit(train, y).predict(held_out)
        np.testing.assert_allclose(predicted, expected, rtol=1e-9)
