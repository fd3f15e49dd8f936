"""What can be told without states: models of text, numbers or an embedding, chosen in the training part.

Training rows are predicted by models that have not seen their fold, test rows by one that saw the whole training part,
so that what a baseline leaves over can be learned from without a leak. Knows features and folds; knows no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.features import Features
from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.controls.null_inputs import (
    bends,
    commonest,
    presence,
    standardised,
    term_counts,
    weighted,
)
from lit_experiments.controls.null_models import (
    CERTAINTIES,
    PENALTIES,
    STEPS,
    TEXT_WIDTHS,
    WIDTHS,
    grown_trees,
    ridge_path,
    selection_path,
    smoothed,
    stacked,
    term_means,
    text_distances,
    tree_columns,
    with_pairs,
)
from lit_experiments.controls.problems import Problem
from lit_experiments.probes.blocks import TEST

SurfaceModel = Literal[
    "auto", "none", "numbers", "words", "characters", "word_means", "alike", "kinds", "neighbours", "selected", "trees"
]
MODELS = tuple(name for name in get_args(SurfaceModel) if name not in ("auto", "none"))
STACKED = "stacked"
Distance = Callable[[Ints, Ints], Floats]
"""(rows to predict, training rows) -> [row, training row]."""
_MOST_TREE_CLASSES = 20
"""With more classes, each of which has trees of its own, no trees are grown."""
_MOST_DUAL_ROWS = 3000
"""Training rows that a ridge is fitted to at most: it inverts a matrix of this size in every fold."""
_MOST_DISTANT = 2000
"""Rows whose distances to the training rows are held at a time."""
_PAIRED_NUMBERS = 30
"""Numbers that are multiplied with each other and with words."""
_TREE_NUMBERS = 24
"""Numbers that trees read as they are, besides the features that go with the target most."""
_LEAST_QUARTERED = 40
"""Training groups from which on models are fitted to a quarter of them too."""
_TOLD = 0.97
"""Share of the target's variance below which the best model's loss shows that it tells something."""
_BETTER = 0.99
"""Share of the best model's loss below which the models together are taken instead."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """predicted [n, C]: numbers, or probabilities of K classes. model: which was chosen; losses: of each candidate,
    cross-validated: mean squared error, summed over the target's columns. fewer: [n, C] each as `predicted`, by models
    that were fitted to a half and to a quarter of the training groups, without the row's own; None where that was not
    tried."""

    predicted: Floats
    model: str
    losses: dict[str, float]
    fewer: tuple[Floats, Floats] | None = None


@dataclass(frozen=True, eq=False)
class _Model:
    """names: of its settings. fit: (training rows, rows to predict) -> [setting, row, C]."""

    names: tuple[str, ...]
    fit: Callable[[Ints, Ints], Floats]


def fit_baseline(
    features: Features, problem: Problem, kinds: tuple[str, ...], most_rows: int, seed: int
) -> Baseline | None:
    """The best of the candidates, or all together where they do better; None where the features give none.

    Args:
        kinds: of MODELS; an embedding is used whenever there is one.
        most_rows: training rows that a model is fitted to at most, evenly taken.
    """
    models = [*_models(features, problem, kinds, most_rows, seed)]
    if not models:
        return None
    train, test = np.flatnonzero(~problem.test), np.flatnonzero(problem.test)
    held, names = _cross_fitted(models, problem)
    y = problem.columns
    losses = ((held[:, train] - y[train]) ** 2).mean(1).sum(-1)
    best = {name: np.flatnonzero(np.array(names) == name) for name in dict.fromkeys(names)}
    chosen = [int(settings[np.argmin(losses[settings])]) for settings in best.values()]
    shown = {names[setting]: float(losses[setting]) for setting in chosen}
    weights = np.zeros(len(names))
    weights[chosen] = stacked(held[chosen][:, train], y[train])
    shown[STACKED] = float(((_mixed(held[:, train], weights, y[train]) - y[train]) ** 2).mean(0).sum())
    first = min(chosen, key=lambda setting: losses[setting])
    model = STACKED
    if len(chosen) == 1 or shown[STACKED] > _BETTER * losses[first]:
        weights, model = np.eye(len(names))[first], names[first]
    final = np.concatenate([model.fit(train, test) for model in models])
    columns = np.empty_like(y)
    columns[train] = _mixed(held[:, train], weights, y[train])
    columns[test] = _mixed(final, weights, y[train])
    return Baseline(_as_predicted(columns, problem), model, shown)


def growing_baseline(
    features: Features, problem: Problem, kinds: tuple[str, ...], most_rows: int, seed: int
) -> Baseline | None:
    """`fit_baseline`, and once more on each half and each quarter of the training groups: two doublings of the training
    part, to tell whether more rows would tell more.

    Not where cross-validation shows that next to nothing is told, nor with few groups.
    """
    whole = fit_baseline(features, problem, kinds, most_rows, seed)
    train = ~problem.test
    names = np.unique(problem.group[train])
    if whole is None or len(names) < _LEAST_QUARTERED:
        return whole
    if min(whole.losses.values()) > _TOLD * float(problem.columns[train].var(0).sum()):
        return whole
    shuffled = np.random.default_rng(seed).permutation(len(names))
    of_group = shuffled[np.searchsorted(names, np.where(train, problem.group, names[0]))]
    place = np.where(train, of_group, np.arange(len(train)))
    half, quarter = (_by_parts(features, problem, place % count, kinds, most_rows, seed) for count in (2, 4))
    return whole if half is None or quarter is None else replace(whole, fewer=(half, quarter))


def _by_parts(
    features: Features, problem: Problem, cut: Ints, kinds: tuple[str, ...], most_rows: int, seed: int
) -> Floats | None:
    """[n, C] predictions of all rows by models that were fitted to the training rows of the part before theirs.

    Args:
        cut: [n] the part of every row, from 0 on; a group of training rows is in one.
    """
    count = int(cut.max()) + 1
    out = None
    for fitted in range(count):
        part = np.where(~problem.test & (cut == fitted), problem.part, TEST)
        baseline = fit_baseline(features, replace(problem, part=part), kinds, most_rows, seed)
        if baseline is None:
            return None
        out = np.empty_like(baseline.predicted) if out is None else out
        held = cut == (fitted + 1) % count
        out[held] = baseline.predicted[held]
    return out


def leftover(problem: Problem, baseline: Baseline) -> Floats:
    """[n, C] what a baseline leaves of the target's columns."""
    return problem.columns - columns_of(problem, baseline.predicted)


def columns_of(problem: Problem, predicted: Floats) -> Floats:
    """[n, C] predictions in the target's columns: of two classes, the second alone."""
    return predicted[:, 1:] if len(problem.classes) == 2 else predicted


def _mixed(predicted: Floats, weights: Floats, y: Floats) -> Floats:
    """[row, C] the weighted sum of predictions [model, row, C] around the mean of training targets y, within their
    range: one row to which a model extrapolates would outweigh all others in a squared error."""
    middle = y.mean(0)
    return np.clip(np.tensordot(weights, predicted - middle, 1) + middle, y.min(0), y.max(0))


def _as_predicted(columns: Floats, problem: Problem) -> Floats:
    """Numbers as they are; of two classes both; least-squares scores of more, which rank and need not sum to 1."""
    return np.concatenate([1 - columns, columns], 1) if len(problem.classes) == 2 else columns


def _cross_fitted(models: list[_Model], problem: Problem) -> tuple[Floats, list[str]]:
    """([setting, n, C] predictions of training rows by models without their fold, NaN for test rows; names)."""
    names = [name for model in models for name in model.names]
    out = np.full((len(names), *problem.columns.shape), np.nan)
    for fold in np.unique(problem.part[~problem.test]):
        held = np.flatnonzero(problem.part == fold)
        rows = np.flatnonzero(~problem.test & (problem.part != fold))
        out[:, held] = np.concatenate([model.fit(rows, held) for model in models])
    return out, names


def _models(
    features: Features, problem: Problem, kinds: tuple[str, ...], most_rows: int, seed: int
) -> Iterator[_Model]:
    train, y = ~problem.test, problem.columns
    if features.dense is not None:
        yield _ridge("embedding", standardised(features.dense, train), y, most_rows)
    numbers = bends(features.numbers, train)
    if "numbers" in kinds and numbers.shape[1]:
        yield _ridge("numbers", numbers, y, most_rows)
    words = None if features.words is None else term_counts(features.words, train, "words")
    characters = None if features.texts is None else term_counts(features.texts, train, "characters")
    for kind, counts in (("words", words), ("characters", characters)):
        if kind in kinds and counts is not None:
            yield _ridge(kind, weighted(counts, train), y, most_rows)
    single = None if features.words is None else term_counts(features.words, train, "single words")
    if "word_means" in kinds and single is not None:
        yield _word_means(single, y, most_rows)
    if "alike" in kinds and words is not None:
        vectors = weighted(words, train)
        yield _smoother("alike", TEXT_WIDTHS, lambda a, b: text_distances(vectors[a], vectors[b]), y, most_rows)
    if "kinds" in kinds and features.kinds is not None:
        yield _ridge("kinds", features.kinds, y, most_rows)
    if "neighbours" in kinds and features.place is not None:
        place = features.place
        yield _smoother("neighbours", WIDTHS, lambda a, b: np.abs(place[a][:, None] - place[b]), y, most_rows)
    plain = np.zeros((len(y), 0)) if features.plain is None else standardised(features.plain, train)
    table = _Table.of(
        numbers, plain, features.numbers.shape[1], [c for c in (words, characters) if c is not None], train
    )
    trees = "trees" in kinds and len(problem.classes) <= _MOST_TREE_CLASSES
    if table.values.shape[1] and ("selected" in kinds or trees):
        yield _selection(table, features.numbers, y, ("selected" in kinds, trees), most_rows, seed)


@dataclass(frozen=True, eq=False)
class _Table:
    """values [n, F]: numbers with bends, numbers without, then terms; pairable: columns that are multiplied with each
    other."""

    values: Floats
    pairable: Ints

    @classmethod
    def of(
        cls, numbers: Floats, plain: Floats, straight: int, counts: list[object], train: NDArray[np.bool_]
    ) -> _Table:
        """straight: how many of the numbers have no bend; they come first."""
        parts, places, start = [numbers, plain], [], numbers.shape[1] + plain.shape[1]
        for place, sparse in enumerate(counts):
            dense = commonest(sparse, train, len(train))
            if place == 0:
                there = presence(dense, train)
                places.append(start + np.arange(there.shape[1]))
                parts.append(there)
                start += there.shape[1]
            parts.append(dense)
            start += dense.shape[1]
        few = np.arange(min(straight, _PAIRED_NUMBERS, numbers.shape[1]))
        pairable = _in_turn(places[0], few) if places else np.arange(numbers.shape[1])
        return cls(np.concatenate(parts, 1), pairable.astype(np.int64))


def _in_turn(first: Ints, second: Ints) -> Ints:
    """The members of both, one of each after the other for as long as there are some."""
    count = min(len(first), len(second))
    both = np.stack([first[:count], second[:count]], 1).reshape(-1)
    return np.concatenate([both, first[count:], second[count:]]).astype(np.int64)


def _smoother(name: str, widths: tuple[float, ...], distance: Distance, y: Floats, most_rows: int) -> _Model:
    def fit(rows: Ints, held_out: Ints) -> Floats:
        rows = _thinned(rows, min(most_rows, _MOST_DUAL_ROWS))
        blocks = np.array_split(held_out, max(1, -(-len(held_out) // _MOST_DISTANT)))
        return np.concatenate([smoothed(distance(block, rows), y[rows], widths) for block in blocks], 1)

    return _Model((name,) * len(widths), fit)


def _ridge(name: str, inputs: object, y: Floats, most_rows: int) -> _Model:
    def fit(rows: Ints, held_out: Ints) -> Floats:
        rows = _thinned(rows, min(most_rows, _MOST_DUAL_ROWS))
        return ridge_path(inputs[rows], y[rows], inputs[held_out])  # type: ignore[index]

    return _Model((name,) * len(PENALTIES), fit)


def _word_means(counts: Any, y: Floats, most_rows: int) -> _Model:
    def fit(rows: Ints, held_out: Ints) -> Floats:
        rows = _thinned(rows, most_rows)
        return term_means(counts[rows], y[rows], counts[held_out])

    return _Model(("word_means",) * len(CERTAINTIES), fit)


def _selection(
    table: _Table, numbers: Floats, y: Floats, wants: tuple[bool, bool], most_rows: int, seed: int
) -> _Model:
    """Forward selection, and trees of what it selects and of the numbers as they are."""
    selects, grows = wants

    def fit(rows: Ints, held_out: Ints) -> Floats:
        rows = _thinned(rows, most_rows)
        inside, outside = with_pairs(table.values[rows], y[rows], table.values[held_out], table.pairable)
        path, order = selection_path(inside, y[rows], outside)
        parts = [path] if selects else []
        if grows:
            columns = tree_columns(inside, y[rows], order)
            whole = numbers[:, :_TREE_NUMBERS]
            a = np.concatenate([whole[rows], inside[:, columns]], 1)
            b = np.concatenate([whole[held_out], outside[:, columns]], 1)
            parts.append(grown_trees(a, y[rows], b, seed)[None])
        return np.concatenate(parts)

    return _Model(("selected",) * len(STEPS) * selects + ("trees",) * grows, fit)


def _thinned(rows: Ints, most: int) -> Ints:
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
