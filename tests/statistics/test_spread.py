"""Total variance and effective dimension against numpy's covariance and against known distributions."""

import numpy as np
import pytest

from lit_experiments.statistics.spread import spread


def test_equals_the_trace_and_eigenvalues_of_numpys_covariance():
    rng = np.random.default_rng(0)
    for n, hidden in ((2, 5), (7, 30), (40, 3)):
        rows = 100 + rng.normal(size=(n, hidden)) * rng.uniform(0.1, 3, hidden)
        covariance = np.cov(rows.T, ddof=1)
        values = np.linalg.eigvalsh(covariance)
        measured = spread(rows)
        assert measured.variance == pytest.approx(np.trace(covariance))
        assert measured.dimension == pytest.approx(values.sum() ** 2 / (values**2).sum())
        assert measured.mean_square == pytest.approx(np.mean([row @ row for row in rows]))
        assert measured.normalised == pytest.approx(measured.variance / measured.mean_square)


def test_gaussian_samples_give_the_trace_of_their_covariance():
    """Mean over many samples of 8: the estimate is unbiased at any n."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T
    variances = [spread(rng.multivariate_normal(np.full(6, 3.0), covariance, 8)).variance for _ in range(4000)]
    error = np.std(variances) / np.sqrt(len(variances))
    assert abs(np.mean(variances) - np.trace(covariance)) < 4 * error
    assert error < 0.02 * np.trace(covariance)


def test_the_dimension_of_many_samples_is_that_of_the_covariance():
    rng = np.random.default_rng(2)
    scales = np.array([3.0, 3.0, 3.0, 0.01, 0.01])
    assert spread(rng.normal(size=(5000, 5)) * scales).dimension == pytest.approx(3, abs=0.05)
    line = np.outer(rng.normal(size=50), rng.normal(size=9))
    assert spread(line).dimension == pytest.approx(1)


def test_equal_vectors_have_no_variance_and_no_dimension():
    same = np.tile(np.random.default_rng(3).normal(size=11) * 1e4, (5, 1))
    assert spread(same).variance == 0
    assert np.isnan(spread(same).dimension)


def test_too_few_vectors_have_none():
    one = spread(np.ones((1, 4)))
    assert np.isnan([one.variance, one.normalised, one.dimension]).all()
    assert one.mean_square == 4
    none = spread(np.empty((0, 4)))
    assert none.n == 0
    assert np.isnan([none.variance, none.mean_square, none.dimension]).all()
