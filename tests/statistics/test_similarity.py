"""Similarity of representations: known geometry, and CKA against its definition through centred Gram matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ortho_group

from lit_experiments.statistics.similarity import linear_cka, principal_angles, row_cosines


def by_definition(x, y):
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with centring matrices written out."""
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    k, m = x @ x.T, y @ y.T

    def hsic(p, q):
        return np.trace(p @ h @ q @ h)

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


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
    found = row_cosines([[1, 0], [1, 1], [0, 0]], [[2, 0], [-1, -1], [1, 0]])
    assert found[:2] == pytest.approx([1, -1])
    assert math.isnan(found[2])


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
