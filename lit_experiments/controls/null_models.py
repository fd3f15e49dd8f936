"""Models of a target without states, on plain arrays: ridges over a path of penalties, forward selection, trees.

Each takes training rows and rows to predict and gives one prediction per setting, so that a caller can cross-validate.
Targets are columns of numbers [row, C]; of classes these are 0 and 1, and predictions are least-squares scores. Knows
no text and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from scipy.sparse import issparse
from threadpoolctl import ThreadpoolController

from lit_experiments.controls.labels import Floats, Ints

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of ridges, in units of the mean squared length of a centred training row."""
WIDTHS = (1.0, 3.0, 10.0, 30.0)
"""Of neighbourhoods in the data, in rows."""
TEXT_WIDTHS = (0.03, 0.1, 0.3)
"""Of neighbourhoods of texts, in 1 - cosine."""
CERTAINTIES = (1.0, 2.0, 4.0, 8.0)
"""Powers of the certainty by which means of terms are weighed: from an average to the most certain term alone."""
STEPS = (1, 2, 3, 5, 8, 12, 20, 30)
"""Features of a forward selection."""
_MOST_PAIRED = 120
_PAIRS = 60
_MOST_TRIPLED = 32
_TRIPLES = 20
_LEAST_SPREAD = 0.05
"""Variance of a product of standardised features, below which it hardly varies."""
_SCREENED = 400
"""Features, by correlation with the target in the training rows, of which a forward selection takes some."""
_TREE_FEATURES = 16


def ridge_path(train: Any, y: Floats, held_out: Any) -> Floats:
    """[penalty, held_out row, C] predictions of ridges on `train` [n, F], dense or sparse, by the dual where F >= n or
    rows are sparse.

    A Cholesky factor per penalty: for these few, that takes a fraction of one eigendecomposition.
    """
    mean, offset = np.asarray(train.mean(0)).reshape(1, -1), y.mean(0)
    if issparse(train) or train.shape[1] >= len(y):
        gram, right = _products(train, train, mean), y - offset
        cross, total = _products(held_out, train, mean), float(np.trace(gram))
    else:
        centred, cross = train - mean, held_out - mean
        gram, right = centred.T @ centred, centred.T @ (y - offset)
        total = float(np.trace(gram))
    scale = max(total / len(y), 1e-12)
    return np.stack([cross @ _shifted_solution(gram, p * scale, right) + offset for p in PENALTIES])


def _shifted_solution(gram: Floats, shift: float, right: Floats) -> Floats:
    """(gram + shift I)^-1 right, of a symmetric gram without negative eigenvalues and a shift above 0."""
    from scipy.linalg import cho_factor, cho_solve

    shifted = gram.copy()
    shifted.flat[:: len(gram) + 1] += shift
    return np.asarray(cho_solve(cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False), right))


def _products(a: Any, b: Any, mean: Floats) -> Floats:
    """[row of a, row of b] inner products of rows that are centred by `mean`, without making sparse rows dense."""
    left, right = (np.asarray(x @ mean.T).reshape(-1) for x in (a, b))
    product = a @ b.T
    dense = product.toarray() if issparse(product) else np.asarray(product)
    return np.asarray(dense - left[:, None] - right[None, :] + float((mean @ mean.T).item()))


def with_pairs(train: Floats, y: Floats, held_out: Floats, pairable: Ints) -> tuple[Floats, Floats]:
    """Standardised features of training and held_out rows, and products of the pairs and triples that go with y most,
    by training; of all these the ones that go with y most.

    Two features may tell nothing alone and all together, as the two words of an exclusive or. pairable: columns that
    are multiplied, at most the first `_MOST_PAIRED` by twos and the first `_MOST_TRIPLED` by threes.
    """
    a, b = _scaled(train, held_out)
    rest = y - y.mean(0)
    chosen = pairable[:_MOST_PAIRED]
    tables = [(a, b)]
    if len(chosen) > 1:
        left = a[:, chosen]
        first, second = np.triu_indices(len(chosen), 1)
        strength = sum(
            ((left * (column / max(float(column.std()), 1e-12))[:, None]).T @ left) ** 2 for column in rest.T
        )
        spread = (left**2).T @ left**2 / len(left) - (left.T @ left / len(left)) ** 2
        strength = np.asarray(strength) / np.maximum(spread, _LEAST_SPREAD)
        best = np.argsort(-strength[first, second], kind="stable")[:_PAIRS]
        i, j = chosen[first[best]], chosen[second[best]]
        tables.append(_scaled(a[:, i] * a[:, j], b[:, i] * b[:, j]))
    if len(chosen) > 2:
        i, j, k = chosen[np.array([*combinations(range(min(len(chosen), _MOST_TRIPLED)), 3)]).T]
        product = a[:, i] * a[:, j] * a[:, k]
        strength = ((product.T @ rest) ** 2).sum(1) / np.maximum(product.var(0), _LEAST_SPREAD)
        best = np.argsort(-strength, kind="stable")[:_TRIPLES]
        tables.append(_scaled(product[:, best], b[:, i[best]] * b[:, j[best]] * b[:, k[best]]))
    inside, outside = (np.concatenate(parts, 1) for parts in zip(*tables, strict=True))
    screened = np.sort(np.argsort(-((inside.T @ rest) ** 2).sum(1), kind="stable")[:_SCREENED])
    return inside[:, screened], outside[:, screened]


def _scaled(train: Floats, held_out: Floats) -> tuple[Floats, Floats]:
    """Training and held_out rows with the training rows' mean 0 and deviation 1; 0 where nothing varies."""
    mean, scale = train.mean(0), train.std(0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    return (train - mean) / scale, (held_out - mean) / scale


def selection_path(train: Floats, y: Floats, held_out: Floats) -> tuple[Floats, list[int]]:
    """([setting, held_out row, C] predictions of forward selections of as many features as `STEPS` says, the features).

    Orthogonal least squares (Chen, Billings and Luo 1989): the feature that takes most off the squared error, given
    those before it, is next. train, held_out: standardised by the training rows.
    """
    inside, outside = train.copy(), held_out.copy()
    rest, predicted = y - y.mean(0), np.repeat(y.mean(0)[None], len(held_out), 0)
    start = (inside**2).sum(0)
    path, order = [], []
    for step in range(1, max(STEPS) + 1):
        length = (inside**2).sum(0)
        usable = length > 1e-3 * np.maximum(start, 1e-12)
        gain = np.where(usable, ((inside.T @ rest) ** 2).sum(1) / np.where(usable, length, 1.0), -1.0)
        best = int(np.argmax(gain))
        if gain[best] > 0 and step < len(y) // 3:
            order.append(best)
            axis, along = inside[:, best] / np.sqrt(length[best]), outside[:, best] / np.sqrt(length[best])
            weight, shared = axis @ rest, axis @ inside
            rest, predicted = rest - np.outer(axis, weight), predicted + np.outer(along, weight)
            inside -= np.outer(axis, shared)
            outside -= np.outer(along, shared)
        if step in STEPS:
            path.append(predicted)
    return np.stack(path), order


def grown_trees(train: Floats, y: Floats, held_out: Floats, seed: int) -> Floats:
    """[held_out row, C] predictions of histogram gradient boosting, one regression per column.

    In one thread: trees of a few hundred rows are done before a second one has woken up, which then spins.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    least = int(np.clip(len(train) // 40, 3, 20))
    out = np.empty((len(held_out), y.shape[1]))
    for column in range(y.shape[1]):
        trees = HistGradientBoostingRegressor(
            max_iter=50, max_leaf_nodes=8, min_samples_leaf=least, early_stopping=False, random_state=seed
        )
        with _thread_pools().limit(limits=1, user_api="openmp"):
            out[:, column] = trees.fit(train, y[:, column]).predict(held_out)
    return out


@cache
def _thread_pools() -> ThreadpoolController:
    """Of the libraries that are loaded by now, scikit-learn's among them."""
    return ThreadpoolController()


def tree_columns(train: Floats, y: Floats, order: list[int]) -> list[int]:
    """The features that trees are grown of: first those of a forward selection, then by correlation."""
    if not train.shape[1]:
        return []
    strength = ((train.T @ (y - y.mean(0))) ** 2).sum(1)
    return [*dict.fromkeys([*order, *np.argsort(-strength, kind="stable").tolist()])][:_TREE_FEATURES]


def term_means(train: Any, y: Floats, held_out: Any) -> Floats:
    """[certainty, held_out row, C] weighted means of what the terms of a row have told in the training rows.

    A term tells the mean target of its training texts, drawn to the overall mean as by one more text; its certainty is
    the overall variance over that of its texts. Of many terms that come in few texts each, and go with one label, a
    ridge or a selection finds some: here each has the weight of its own texts, as in a decision list (Rivest 1987).
    train, held_out: sparse counts [row, term], of which the presence is used.
    """
    there, others = ((counts > 0).astype(np.float64) for counts in (train, held_out))
    middle = y.mean(0)
    rest = y - middle
    texts = np.asarray(there.sum(0)).reshape(-1, 1)
    total = np.asarray(there.T @ rest)
    within = np.asarray(there.T @ rest**2) - total**2 / np.maximum(texts, 1)
    whole = np.maximum((rest**2).mean(0), 1e-300)
    certainty = (texts + 1) / (np.maximum(within, 0.0) / whole + 1) * (texts > 0)
    out = []
    for power in CERTAINTIES:
        weight = certainty**power
        out.append(others @ (weight * total / (texts + 1)) / np.maximum(others @ weight, 1e-300) + middle)
    return np.stack(out)


def smoothed(distance: Floats, y: Floats, widths: Sequence[float]) -> Floats:
    """[width, held_out row, C] means of y [row, C] over near training rows, by weights exp(-distance / width) (Nadaraya
    1964, Watson 1964). distance: [held_out row, training row]."""
    beyond_nearest = distance - distance.min(1, keepdims=True)  # else all weights of a lonely row are 0
    weights = [np.exp(-beyond_nearest / width) for width in widths]
    return np.stack([weight @ y / weight.sum(1, keepdims=True) for weight in weights])


def text_distances(held_out: Any, train: Any) -> Floats:
    """[held_out row, training row] 1 - cosine of rows of length 1, sparse."""
    return 1.0 - np.asarray((held_out @ train.T).toarray())


def stacked(predicted: Floats, y: Floats) -> Floats:
    """[model] weights of at least 0 that fit cross-validated predictions [model, n, C] to y (Breiman 1996)."""
    from scipy.optimize import nnls

    middle = y.mean(0)
    matrix = (predicted - middle).reshape(len(predicted), -1).T
    return np.asarray(nnls(matrix, (y - middle).reshape(-1))[0])
