"""What a word looks like from outside: itself, its neighbours, its place, and the tags that such words have.

How often the training part gives a word, the one before and the one after each tag is counted without the fold that the
word is in, so that what a model of these counts leaves over can be learned from without a leak. Does not know: states.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.features import Features, surface_of
from lit_experiments.controls.problems import Problem
from lit_experiments.experiments.pos.probe_scores import Labelled
from lit_experiments.experiments.pos.types import TypeTable
from lit_experiments.probes.blocks import TEST

Floats = NDArray[np.float64]
_PRIOR_WEIGHT = 1.0
"""Words that a type counts as seen with the overall distribution of tags."""


def surface_of_words(labelled: Labelled, line: NDArray[np.int64], problem: Problem) -> Features:
    """The features of the words on these lines, the examples of the problem."""
    features = surface_of(labelled.words.store, problem, None)
    counts, names = _tag_shares(labelled, line, problem)
    numbers = np.concatenate([features.numbers, counts], 1)
    varies = np.ptp(numbers, axis=0) > 0
    return replace(
        features,
        numbers=numbers[:, varies],
        names=tuple(name for name, kept in zip((*features.names, *names), varies, strict=True) if kept),
    )


def _tag_shares(labelled: Labelled, line: NDArray[np.int64], problem: Problem) -> tuple[Floats, list[str]]:
    """[n, 3 K] which tags the word, the one before and the one after have in the training part, and their names."""
    forms = labelled.forms[line]
    before, after = _neighbours(labelled)
    sides = {"word": forms, "word before": before[line], "word after": after[line]}
    codes, classes = problem.y.astype(np.int64), len(problem.classes)
    shares = [np.zeros((len(line), classes)) for _ in sides]
    for part in np.unique(problem.part):
        seen = (problem.part != TEST) & (problem.part != part)
        rows = problem.part == part
        for share, values in zip(shares, sides.values(), strict=True):
            share[rows] = TypeTable.of(values[seen], codes[seen], classes).prior(values[rows], _PRIOR_WEIGHT)
    return np.concatenate(shares, 1), [f"{side} {tag}" for side in sides for tag in problem.classes]


def _neighbours(labelled: Labelled) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """[line] the labelled words before and after, "" at the ends of a sentence."""
    table = labelled.words.table
    form, row = table["form"].to_numpy(str), table["row"].to_numpy(np.int64)
    before, after = np.concatenate([[""], form[:-1]]), np.concatenate([form[1:], [""]])
    first, last = np.ones(len(row), bool), np.ones(len(row), bool)
    first[1:], last[:-1] = row[1:] != row[:-1], row[1:] != row[:-1]
    lines = labelled.split.lines
    return np.where(first, "", before)[lines], np.where(last, "", after)[lines]
