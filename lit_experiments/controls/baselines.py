"""What can be told without states: scikit-learn models of text, numbers or an embedding, chosen in the training part.

Training rows are predicted by models that have not seen their fold, test rows by one that saw the whole training part,
so that what a baseline leaves over can be learned from without a leak. Knows features and folds; knows no store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.features import Features
from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.controls.problems import Problem

SurfaceModel = Literal["auto", "none", "numbers", "words", "characters", "trees"]
MODELS = tuple(name for name in get_args(SurfaceModel) if name not in ("auto", "none"))
_STRENGTHS = (0.1, 1.0, 10.0)
"""Inverse penalties of linear models."""
_MOST_TREE_CLASSES = 20
"""With more classes, each of which has trees of its own, no trees are grown."""
_TREE_WORDS = 100


@dataclass(frozen=True, eq=False)
class Baseline:
    """predicted [n, C]: numbers, or probabilities of K classes. model: which was chosen; losses: of each candidate,
    cross-validated: mean squared error or log-loss (nats)."""

    predicted: Floats
    model: str
    losses: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A model: its name, its inputs [n, F] (dense or sparse), and how strongly a linear one may fit; None for trees."""

    name: str
    inputs: Any
    strength: float | None


def fit_baseline(
    features: Features, problem: Problem, kinds: tuple[str, ...], most_rows: int, seed: int
) -> Baseline | None:
    """The best of the candidates; None where the features give none.

    Args:
        kinds: of MODELS; an embedding is used whenever there is one.
        most_rows: training rows that a model is fitted to at most, evenly taken.
    """
    candidates = [*_candidates(features, problem, kinds)]
    if not candidates:
        return None
    fits = [_cross_fitted(candidate, problem, most_rows, seed) for candidate in candidates]
    losses = [_loss(problem, fit) for fit in fits]
    best = int(np.argmin(losses))
    shown: dict[str, float] = {}
    for candidate, loss in zip(candidates, losses, strict=True):
        shown[candidate.name] = min(loss, shown.get(candidate.name, np.inf))
    predicted = fits[best].copy()
    test = problem.test
    predicted[test] = _fitted(candidates[best], problem, ~test, most_rows, seed, test)
    return Baseline(predicted, candidates[best].name, shown)


def leftover(problem: Problem, baseline: Baseline) -> Floats:
    """[n, C] what a baseline leaves of the target's columns."""
    return problem.columns - columns_of(problem, baseline.predicted)


def columns_of(problem: Problem, predicted: Floats) -> Floats:
    """[n, C] predictions in the target's columns: of two classes, the second alone."""
    return predicted[:, 1:] if len(problem.classes) == 2 else predicted


def _candidates(features: Features, problem: Problem, kinds: tuple[str, ...]) -> Iterator[_Candidate]:
    train = ~problem.test
    if features.dense is not None:
        yield from (_Candidate("embedding", _scaled(features.dense, train), s) for s in (1e-3, 1e-2, *_STRENGTHS))
    numbers = _scaled(features.numbers, train)
    if "numbers" in kinds and numbers.shape[1]:
        yield from (_Candidate("numbers", numbers, s) for s in _STRENGTHS)
    if features.texts is not None:
        for kind in ("words", "characters"):
            inputs = _vectors(list(features.texts), train, kind) if kind in kinds else None
            if inputs is not None:
                yield from (_Candidate(kind, inputs, s * 10) for s in _STRENGTHS)
    if "trees" in kinds and len(problem.classes) <= _MOST_TREE_CLASSES:
        counts = None if features.texts is None else _counts(list(features.texts), train)
        parts = [part for part in (features.numbers, counts) if part is not None and part.shape[1]]
        if parts:
            yield _Candidate("trees", np.concatenate(parts, 1), None)


def _scaled(numbers: Floats, train: NDArray[np.bool_]) -> Floats:
    mean, scale = numbers[train].mean(0), numbers[train].std(0)
    return (numbers - mean) / np.where(scale > 0, scale, 1.0)


def _vectors(texts: list[str], train: NDArray[np.bool_], kind: str) -> Any:
    """TF-IDF of words and word pairs, or of character n-grams; None where no n-gram comes in two training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings: dict[str, Any] = {"min_df": 2, "max_features": 30_000, "sublinear_tf": True}
    if kind == "words":
        settings |= {"ngram_range": (1, 2), "token_pattern": r"\S+"}
    else:
        settings |= {"analyzer": "char_wb", "ngram_range": (1, 4)}
    return _transformed(TfidfVectorizer(**settings), texts, train)


def _counts(texts: list[str], train: NDArray[np.bool_]) -> Floats | None:
    """How often each of the commonest words of the training texts comes."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(min_df=2, max_features=_TREE_WORDS, token_pattern=r"\S+")
    counts = _transformed(vectorizer, texts, train)
    return None if counts is None else counts.toarray().astype(np.float64)


def _transformed(vectorizer: Any, texts: list[str], train: NDArray[np.bool_]) -> Any:
    try:
        vectorizer.fit([texts[i] for i in np.flatnonzero(train)])
    except ValueError:  # an empty vocabulary
        return None
    return vectorizer.transform(texts)


def _cross_fitted(candidate: _Candidate, problem: Problem, most_rows: int, seed: int) -> Floats:
    """[n, C] predictions of training rows by models without their fold; NaN for test rows."""
    train = ~problem.test
    out = np.full((len(problem), max(1, len(problem.classes))), np.nan)
    for fold in np.unique(problem.part[train]):
        held = problem.part == fold
        out[held] = _fitted(candidate, problem, train & ~held, most_rows, seed, held)
    return out


def _fitted(
    candidate: _Candidate,
    problem: Problem,
    train: NDArray[np.bool_],
    most_rows: int,
    seed: int,
    wanted: NDArray[np.bool_],
) -> Floats:
    """[wanted row, C] predictions of a model of `train` rows."""
    rows = np.flatnonzero(train)
    rows = rows[np.linspace(0, len(rows) - 1, min(most_rows, len(rows))).astype(np.int64)]
    y, inputs = problem.y[rows], candidate.inputs[np.flatnonzero(wanted)]
    if not problem.classes:
        return _regressor(candidate, seed).fit(candidate.inputs[rows], y).predict(inputs)[:, None]
    codes: Ints = y.astype(np.int64)
    known = np.unique(codes)
    out = np.full((int(wanted.sum()), len(problem.classes)), 1e-6)  # a class that these rows lack
    if len(known) == 1:
        out[:, known] = 1.0
    else:
        out[:, known] = _classifier(candidate, seed).fit(candidate.inputs[rows], codes).predict_proba(inputs)
    return out / out.sum(1, keepdims=True)


def _regressor(candidate: _Candidate, seed: int) -> Any:
    if candidate.strength is None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed)
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1 / candidate.strength)


def _classifier(candidate: _Candidate, seed: int) -> Any:
    if candidate.strength is None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=candidate.strength, max_iter=2000)


def _loss(problem: Problem, predicted: Floats) -> float:
    train = ~problem.test
    if not problem.classes:
        return float(((problem.y[train] - predicted[train, 0]) ** 2).mean())
    picked = predicted[train, problem.y[train].astype(np.int64)]
    return float(-np.log(np.maximum(picked, 1e-12)).mean())
