"""What a form alone tells: the commonest tag, the prior, and the control task's random tags."""

import numpy as np
import pytest

from lit_experiments.experiments.pos.types import TypeTable, control_codes

FORMS = ["a", "b", "b", "b", "c", "c"]
CODES = np.array([0, 1, 1, 2, 2, 2])


def test_the_commonest_tag_backs_off_to_the_commonest_of_all():
    table = TypeTable.of(FORMS, CODES, 4)
    assert table.commonest(["b", "a", "c", "new", "B"]).tolist() == [1, 0, 2, 2, 2]
    assert table.seen(["b", "B"]).tolist() == [True, False]


def test_the_prior_is_the_posterior_mean_of_a_dirichlet():
    table, shares = TypeTable.of(FORMS, CODES, 4), np.array([1, 2, 3, 0]) / 6
    prior = table.prior(["b", "new"], 2.0)
    assert prior[0] == pytest.approx((np.array([0, 2, 1, 0]) + 2 * shares) / 5)
    assert prior[1] == pytest.approx(shares)
    assert table.prior([], 1.0).shape == (0, 4)


def test_a_control_tag_belongs_to_the_type_and_follows_the_training_shares():
    names = [f"w{i}" for i in range(20_000)]
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    codes = control_codes([*names, *names], np.ones(40_000, bool), shares, 3)
    assert (codes[:20_000] == codes[20_000:]).all()
    assert np.bincount(codes, minlength=4) / 40_000 == pytest.approx(shares, abs=0.012)
    assert (control_codes(names, np.ones(20_000, bool), shares, 4) != codes[:20_000]).any()
    assert (control_codes(names[::-1], np.ones(20_000, bool), shares, 3) == codes[:20_000][::-1]).all()


def test_types_of_other_parts_get_a_tag_that_training_types_have():
    names = [f"w{i}" for i in range(300)]
    train = np.zeros(300, bool)
    train[:3] = True
    codes = control_codes(names, train, np.full(12, 1 / 12), 0)
    assert set(codes) == set(codes[:3])
    assert len(set(codes[:3])) > 1
