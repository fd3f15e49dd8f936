"""Entropies and divergences against scipy, and the correction for few draws."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from lit_experiments.statistics.divergence import cross_entropy, entropy, jensen_shannon, miller_madow, normalised


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.full(5, 0.5), (2, 200))
    p[::7, 2] = 0
    return normalised(p), q


def test_they_are_scipys(pairs):
    p, q = pairs
    assert entropy(p) == pytest.approx(scipy_entropy(p, axis=-1), abs=1e-12)
    assert cross_entropy(p, q) - entropy(p) == pytest.approx(scipy_entropy(p, q, axis=-1), abs=1e-10)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, axis=-1) ** 2, abs=1e-12)


def test_equal_and_disjoint_distributions():
    one, other = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.3, 0.7])
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == pytest.approx(np.log(2))
    assert entropy([1.0, 0, 0]) == 0
    assert cross_entropy(one, other) == np.inf
    assert cross_entropy([1.0, 0], [0.5, 0.5]) == pytest.approx(np.log(2))


def test_no_draws_have_no_entropy():
    assert np.isnan(normalised([0, 0])).all()
    assert np.isnan(miller_madow([0, 0]))
    assert np.isnan(jensen_shannon([0.5, 0.5], normalised([0, 0])))


def test_the_correction_takes_most_of_the_bias_away():
    rng, p = np.random.default_rng(1), np.array([0.4, 0.3, 0.2, 0.1])
    counts = rng.multinomial(40, p, 20_000)
    plain, corrected = entropy(normalised(counts)).mean(), miller_madow(counts).mean()
    assert plain - entropy(p) == pytest.approx(-3 / 80, abs=0.004)
    assert abs(corrected - entropy(p)) < 0.1 * abs(plain - entropy(p))
