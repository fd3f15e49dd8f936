"""Slopes, rank correlations and fluent ranges on small arrays, against numpy and scipy; conditions and directions."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from lit_experiments.errors import UserError
from lit_experiments.experiments.steering.conditions import Directions, check_strengths, conditions
from lit_experiments.experiments.steering.measures import fluent_range, slopes, spearman
from lit_experiments.probes.readout import Readout, open_readout

X = np.array([-8.0, -2.0, 0.0, 1.0, 8.0])
READINGS = np.random.default_rng(0).standard_normal((6, 5, 3)) + 0.2 * X[None, :, None]


def test_slopes_are_those_of_least_squares():
    expected = [[np.polyfit(X, READINGS[p, :, r], 1)[0] for r in range(3)] for p in range(6)]
    assert np.allclose(slopes(X, READINGS), expected)
    assert np.isnan(slopes(X[:2], READINGS[:, :2])).all()


def test_rank_correlations_are_scipys():
    tied = READINGS.copy()
    tied[0, 1] = tied[0, 0]
    tied[1, :, 2] = 4.0
    tied[2, 3, 1] = np.nan
    ours = spearman(X, tied)
    for p in range(6):
        for r in range(3):
            if (p, r) in ((1, 2), (2, 1)):
                assert np.isnan(ours[p, r])
            else:
                assert ours[p, r] == pytest.approx(spearmanr(X, tied[p, :, r]).statistic)


@pytest.mark.parametrize(
    ("fluent", "expected"),
    [
        ([True] * 5, (-8, 8)),
        ([True, False, True, True, False], (0, 1)),
        ([False, True, True, False, True], (-2, 0)),
    ],
)
def test_a_fluent_range_ends_at_the_first_dose_that_is_not(fluent, expected):
    assert fluent_range(X.tolist(), fluent) == expected


def test_conditions_name_strength_zero_once():
    sets = [("resid_post.0",), ("resid_post.0", "resid_post.1")]
    planned = conditions(sets, [-1.0, 0.0, 2.0], ablate=True, random=1)
    assert len(planned) == len({condition.name for condition in planned}) == 1 + 2 * 2 * 3
    assert [condition.action for condition in planned if condition.strength == 0] == ["none"]
    with pytest.raises(UserError):
        check_strengths([0.0], ablate=False)
    check_strengths([0.0], ablate=True)


def test_random_directions_are_orthogonal_unit_vectors_of_their_seed(planted):
    readout: Readout = open_readout(planted.three)
    directions, other = (Directions({}, readout, "prime", seed) for seed in (0, 1))
    unit = directions.unit("probe", "resid_post.1")
    vectors = [directions.unit(f"random-{n}", site) for n in (1, 2) for site in ("resid_post.0", "resid_post.1")]
    for vector in vectors:
        assert np.linalg.norm(vector) == pytest.approx(1)
        assert abs(vector @ unit) < 1e-12
    assert len({tuple(vector) for vector in vectors}) == 4
    assert np.array_equal(directions.unit("random-1", "resid_post.0"), vectors[0])
    assert not np.allclose(other.unit("random-1", "resid_post.0"), vectors[0])
