"""Similarity of representations: known geometry, and CKA against its definition through centred Gram matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ortho_group

from lit_experiments.statistics.similarity import linear_cka, principal_angles, row_cosines


def by_definition(x, y):
    """Unbiased HSIC (Song et al. 2012, equation 5) of Gram matrices with empty diagonals, not centred before."""
    n, ones = len(x), np.ones(len(x))
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)

    def hsic(p, q):
        sums = (ones @ p @ ones) * (ones @ q @ ones) / ((n - 1) * (n - 2))
        return np.trace(p @ q) + sums - 2 / (n - 2) * (ones @ p @ q @ ones)

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize(("rows", "dims"), [(24, 256), (72, 256), (240, 256), (300, 1024)])
def test_cka_of_unrelated_states_is_about_nothing(rows, dims):
    """The plug-in estimate of 24 rows of 256 dims is 0.9."""
    rng = np.random.default_rng(rows)
    repeats = [linear_cka(rng.normal(size=(rows, dims)), rng.normal(size=(rows, dims))) for _ in range(5)]
    assert abs(np.mean(repeats)) < 0.02


@pytest.mark.parametrize("rows", [8, 60])
def test_cka_equals_its_definition(rows):
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, 20)) + 3, rng.normal(size=(rows, 12))
    y[:, :6] += x[:, :6]
    assert linear_cka(x, y) == pytest.approx(by_definition(x, y))


def test_cka_ignores_rotation_scale_and_shift():
    x = np.random.default_rng(0).normal(size=(50, 10))
    turned = 3.7 * x @ ortho_group.rvs(10, random_state=1) + 2
    assert linear_cka(x, turned) == pytest.approx(1)


def test_cka_of_constant_rows_is_undefined_and_other_rows_are_refused():
    assert math.isnan(linear_cka(np.ones((5, 3)), np.eye(5)))
    with pytest.raises(ValueError, match="5 rows next to 4"):
        linear_cka(np.eye(5), np.eye(4))


def test_cosines_by_row():
    cosines = row_cosines([[1, 0], [1, 1], [0, 0]], [[2, 0], [-1, -1], [1, 0]])
    assert cosines[:2] == pytest.approx([1, -1])
    assert math.isnan(cosines[2])


def test_angles_between_planes_in_space():
    rng = np.random.default_rng(0)
    a, b = np.zeros((40, 3)), np.zeros((40, 3))
    a[:, :2] = rng.normal(size=(40, 2))
    angle = math.radians(30)
    b[:, 0] = rng.normal(size=40)
    tilted = rng.normal(size=40)
    b[:, 1], b[:, 2] = tilted * math.cos(angle), tilted * math.sin(angle)
    assert principal_angles(a, b, 2) == pytest.approx([0, 30], abs=1e-6)


def test_more_components_than_rows_are_refused():
    with pytest.raises(ValueError, match="3 principal components"):
        principal_angles(np.eye(3), np.eye(3), 3)
