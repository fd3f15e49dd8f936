"""Models of the surface: what more rows would tell them is measured on fewer rows, and never on a row's own label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lit_experiments.controls.baselines import Baseline, columns_of, growing_baseline
from lit_experiments.controls.features import Features
from lit_experiments.controls.growth import left_to_learn
from lit_experiments.controls.problems import Problem
from lit_experiments.probes.splits import group_split
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.calibration import auroc

ROWS = 160
KINDS = ("words", "word_means")


def problem_of(code: np.ndarray) -> Problem:
    group = np.array([f"row {i:03d}" for i in range(ROWS)])
    return Problem(
        name="kind",
        classes=("a", "b"),
        fields=(),
        row=np.arange(ROWS),
        entry=None,
        y=code.astype(np.float64),
        weight=None,
        part=group_split(group, 0.3, 5, 0),
        group=group,
        neighbour=np.zeros(ROWS, bool),
        missing=0,
        reason="text",
        notes=(),
    )


def baseline_of(words: np.ndarray, problem: Problem) -> Baseline:
    texts = [f"the {word} was there" for word in words.tolist()]
    baseline = growing_baseline(Features(texts, np.zeros((ROWS, 0)), ()), problem, KINDS, ROWS, 0)
    assert baseline is not None
    return baseline


def growth(problem: Problem, baseline: Baseline) -> float:
    assert baseline.fewer is not None
    whole, quarter = (columns_of(problem, p)[:, 0] for p in (baseline.predicted, baseline.fewer[1]))
    return float(auroc(whole, problem.y == 1) - auroc(quarter, problem.y == 1))


def test_a_label_of_many_rare_words_is_still_learned_and_one_of_two_words_is_not() -> None:
    word = np.random.default_rng(0).integers(0, 40, ROWS)
    rare, common = (np.array([f"w{i}" for i in codes]) for codes in (word, word % 2))
    of_rare, of_common = problem_of(word < 20), problem_of(word % 2 == 1)
    assert growth(of_rare, baseline_of(rare, of_rare)) > 0.15
    assert abs(growth(of_common, baseline_of(common, of_common))) < 0.01


def test_no_row_is_predicted_from_its_own_label() -> None:
    word = np.random.default_rng(1).integers(0, 20, ROWS)
    words, problem = np.array([f"w{i}" for i in word]), problem_of(word < 10)
    row = int(np.flatnonzero(~problem.test)[0])
    other = problem.y.copy()
    other[row] = 1 - other[row]
    one, turned = baseline_of(words, problem), baseline_of(words, replace(problem, y=other))
    assert one.fewer is not None
    assert turned.fewer is not None
    for before, after in zip(one.fewer, turned.fewer, strict=True):
        np.testing.assert_array_equal(before[row], after[row])
        assert (before != after).any()


def test_few_groups_are_not_cut_into_parts() -> None:
    word = np.random.default_rng(2).integers(0, 2, ROWS)
    problem = problem_of(word)
    few = replace(problem, group=np.array([f"group {i % 30:02d}" for i in range(ROWS)]))
    assert baseline_of(np.array([f"w{i}" for i in word]), few).fewer is None


def test_what_is_left_to_learn_is_bounded_by_either_pace() -> None:
    """One word that a quarter of the rows does not show and half of them do is learned: nothing is left of it."""
    last = Estimate(0.01, -0.03, 0.05, 200, 0.95)
    assert left_to_learn(0.3, last) == 2 * 0.05
    assert left_to_learn(0.04, last) == 0.04
    assert left_to_learn(-0.1, last) == 0
    assert left_to_learn(0.3, Estimate.undefined(3, 0.95)) == 0.3
