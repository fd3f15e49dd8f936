"""Step-down max-T: a family of tests, corrected by the permutations that they share."""

from __future__ import annotations

import sys
from itertools import permutations as orders_of
from itertools import product

import numpy as np
import pytest

from lit_experiments.statistics import holm
from lit_experiments.statistics.max_t import Family, max_t
from lit_experiments.statistics.permutation import permutation_p


def family(seed: int, hypotheses: int = 6, count: int = 199, alike: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """(observed [H], permuted [P, H]) of noise whose hypotheses correlate."""
    rng = np.random.default_rng(seed)
    common, rest = rng.normal(size=(count + 1, 1)), rng.normal(size=(count + 1, hypotheses))
    values = np.sqrt(alike) * common + np.sqrt(1 - alike) * rest
    return values[0], values[1:]


def by_hand(observed: np.ndarray, permuted: np.ndarray) -> np.ndarray:
    """Algorithm 2.8 as it is written down, one hypothesis after the other."""
    whole = np.vstack([observed, permuted])
    z = (whole - whole.mean(0)) / whole.std(0)
    order, out, last = np.argsort(-z[0]), np.empty(len(observed)), 0.0
    for place, hypothesis in enumerate(order):
        largest = z[1:, order[place:]].max(1)
        last = max(last, (1 + (largest >= z[0, hypothesis]).sum()) / (1 + len(permuted)))
        out[hypothesis] = last
    return out


def test_equals_the_algorithm_as_it_is_written_down():
    for seed in range(5):
        observed, permuted = family(seed)
        observed = observed + np.array([3, 0, 1, 0, 5, 0])
        np.testing.assert_allclose(max_t(observed, permuted), by_hand(observed, permuted))


def test_one_hypothesis_is_an_ordinary_permutation_test():
    observed, permuted = family(0, hypotheses=1)
    assert max_t(observed, permuted)[0] == pytest.approx(permutation_p(observed, permuted)[0])
    two = permutation_p(-np.abs(observed), permuted, two_sided=True)
    assert max_t(-np.abs(observed), permuted, two_sided=True)[0] == pytest.approx(two[0])


def test_hypotheses_that_say_the_same_cost_nothing_and_holm_counts_each():
    rng = np.random.default_rng(3)
    observed, permuted = np.array([2.5]), rng.normal(size=(999, 1))
    alone = max_t(observed, permuted)[0]
    scales = np.array([1.0, 100.0, 1e-6, 3.0, 7.0])  # other units say the same too
    copies = max_t(observed * scales, permuted * scales)
    np.testing.assert_allclose(copies, alone)
    assert holm(np.full(5, alone)).min() == pytest.approx(5 * alone)


def test_p_values_rise_as_statistics_fall_and_are_never_below_those_of_one_test():
    observed, permuted = family(7, hypotheses=12)
    adjusted, alone = max_t(observed, permuted), permutation_p(observed, permuted)
    z = (observed - permuted.mean(0)) / permuted.std(0)
    assert (np.diff(adjusted[np.argsort(-z)]) >= 0).all()
    assert (adjusted >= alone - 1e-12).all()
    assert adjusted.min() >= 1 / 200


def test_a_missing_hypothesis_stays_missing_and_changes_no_other():
    observed, permuted = family(1)
    more = np.insert(observed, 2, np.nan), np.insert(permuted, 2, 9.0, axis=1)
    never = np.insert(more[0], 0, 1.0), np.insert(more[1], 0, np.nan, axis=1)
    adjusted = max_t(*never)
    assert np.isnan(adjusted[[0, 3]]).all()
    np.testing.assert_allclose(adjusted[[1, 2, 4, 5, 6, 7]], max_t(observed, permuted))
    assert np.isnan(max_t([np.nan, np.nan], np.zeros((19, 2)))).all()
    assert max_t(np.zeros(0), np.zeros((19, 0))).shape == (0,)


def test_a_permutation_without_a_statistic_is_not_counted():
    permuted = np.array([[np.nan], [0.0], [1.0], [np.nan]])
    assert max_t([2.0], permuted)[0] == pytest.approx(1 / 3)


def test_equal_statistics_count_as_reached_also_when_they_differ_by_rounding():
    assert max_t([0.3], np.full((19, 1), 0.1 + 0.2))[0] == 1
    tied = max_t([1.0, 1.0, 0.0], np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.5]]))
    assert tied[0] == tied[1]


def test_is_exact_over_all_permutations():
    """Over every labelling that could have been, at most alpha of them have an adjusted p-value of alpha."""
    x = np.array([[0.3, 1.0], [1.2, 0.1], [2.2, 0.7], [3.7, 2.0], [5.1, 4.0]])
    labels = np.arange(5.0)
    statistics = np.array([np.array(order) @ x for order in orders_of(labels)])
    smallest = []
    for real in range(len(statistics)):
        rest = np.delete(statistics, real, axis=0)
        smallest.append(max_t(statistics[real], rest).min())
    for alpha in (0.05, 0.1, 0.3):
        assert np.mean(np.array(smallest) <= alpha + 1e-12) <= alpha


def test_blocks_of_permutations_change_nothing(monkeypatch: pytest.MonkeyPatch):
    observed, permuted = family(5, hypotheses=7)
    whole = Family(observed, permuted)
    expected, bounds = whole.adjusted(), whole.bounds(0.1)
    monkeypatch.setattr(sys.modules[Family.__module__], "_BLOCK", 7 * 11)
    np.testing.assert_array_equal(whole.adjusted(), expected)
    np.testing.assert_array_equal(whole.bounds(0.1), bounds)


@pytest.mark.parametrize("seed", range(8))
def test_what_exceeds_its_bound_is_what_has_a_small_p_value(seed: int):
    observed, permuted = family(seed, hypotheses=8, alike=0.3)
    whole = Family(observed * 3, permuted)
    for level in (0.05, 0.2, 0.5):
        np.testing.assert_array_equal(observed * 3 > whole.bounds(level), whole.adjusted() <= level + 1e-12)


def test_too_few_permutations_have_no_bound_that_could_be_exceeded():
    observed, permuted = family(0, count=18)
    assert np.isinf(Family(observed, permuted).bounds(0.05)).all()
    assert np.isfinite(Family(*family(0, count=19)).bounds(0.05)).all()


def test_parts_of_a_family_are_joined_in_order():
    observed, permuted = family(2)
    whole = Family.joined([observed[:2], observed[2:]], [permuted[:, :2], permuted[:, 2:]])
    np.testing.assert_array_equal(whole.adjusted(), max_t(observed, permuted))
    with pytest.raises(ValueError, match="observed"):
        Family(observed, permuted[:, :2])
    with pytest.raises(ValueError, match="one-sided"):
        Family(observed, permuted, True).bounds(0.05)


def test_makes_few_mistakes_on_noise_and_sees_more_than_holm():
    """300 families of 20 hypotheses that correlate, by sign flips: the level holds, and one real effect is seen more
    often than with Holm's correction of the same permutations."""
    rng, signs = np.random.default_rng(0), np.random.default_rng(1).choice([-1.0, 1.0], (499, 24))
    mistakes, hits = np.zeros(2), np.zeros(2)
    for _ in range(300):
        noise = 0.9 * rng.normal(size=(24, 1)) + np.sqrt(1 - 0.81) * rng.normal(size=(24, 20))
        for effect, counted in ((0.0, mistakes), (0.65, hits)):
            x = noise + effect * (np.arange(20) == 0)
            observed, permuted = x.sum(0), signs @ x
            raw = permutation_p(observed, permuted)
            counted += [max_t(observed, permuted).min() <= 0.05, holm(raw).min() <= 0.05]
    assert mistakes[0] <= 0.05 * 300 + 3 * np.sqrt(0.05 * 0.95 * 300)
    assert hits[0] > 1.2 * hits[1]


def test_two_sided_statistics_count_by_size():
    flips = np.array(list(product([-1.0, 1.0], repeat=6)))[1:]
    x = np.random.default_rng(4).normal(size=(6, 3)) - np.array([4.0, 0, 0])
    adjusted = max_t(x.sum(0), flips @ x, two_sided=True)
    np.testing.assert_allclose(adjusted, max_t(-x.sum(0), flips @ x, two_sided=True))
    assert adjusted[0] == pytest.approx(2 / 64)  # no flip but that of all signs gives as much
