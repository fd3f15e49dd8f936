"""p-values from permutations: by counting, and next to scipy's exact tests."""

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from lit_experiments.statistics.permutation import permutation_p, permuted, sign_flip_p, spearman_p


def test_p_counts_the_permutations_that_reach_the_value_and_is_never_0() -> None:
    assert permutation_p(2.0, [1.0, 2.0, 3.0]) == 3 / 4
    assert permutation_p(4.0, [1.0, 2.0, 3.0]) == 1 / 4
    assert permutation_p(0.3, [0.1 + 0.2]) == 1  # equal but for rounding
    np.testing.assert_array_equal(permutation_p([1.0, 9.0], [[0.0, 0.0], [2.0, 2.0]]), [2 / 3, 1 / 3])


def test_two_sided_p_compares_sizes() -> None:
    assert permutation_p(-5.0, [1.0, -2.0, 6.0], two_sided=True) == 2 / 4
    assert permutation_p(7.0, [1.0, -2.0, 6.0], two_sided=True) == 1 / 4


def test_there_is_no_p_without_a_value_or_permutations() -> None:
    for value, null in ((float("nan"), [1.0]), (1.0, []), (1.0, [float("nan")])):
        assert np.isnan(permutation_p(value, null))
    assert permutation_p(1.0, [float("nan"), 0.0]) == 1 / 2  # what could not be computed was not done


def test_permuted_rows_hold_the_same_values_in_many_orders() -> None:
    orders = permuted(np.arange(6.0), 500, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(orders, 1), np.tile(np.arange(6.0), (500, 1)))
    np.testing.assert_allclose(orders.mean(0), 2.5, atol=0.4)


def test_p_of_a_rank_correlation_is_small_for_order_large_for_its_reverse_and_even_for_none() -> None:
    y = np.arange(30.0)
    assert spearman_p(y, y**3, 999, 0) == 0.001
    assert spearman_p(y, -y, 999, 0) == 1
    assert np.isnan(spearman_p(y, np.ones(30), 999, 0))
    other = np.random.default_rng(1).normal(size=30)
    exact = spearmanr(y, other, alternative="greater").pvalue
    assert spearman_p(y, other, 20_000, 0) == pytest.approx(exact, abs=0.02)


def test_sign_flips_agree_with_scipy_s_exact_test() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, 9)
    exact = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p(differences, 40_000, seed=0) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(np.zeros(5), 100, seed=0) == 1
