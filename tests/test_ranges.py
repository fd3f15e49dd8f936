"""Options that are refused by their value."""

from __future__ import annotations

import pytest

from lit_experiments.errors import UserError
from lit_experiments.ranges import reaching


@pytest.mark.parametrize(("level", "least"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.3, 3), (1 / 3, 2), (0.001, 999)])
def test_permutations_that_no_result_could_be_significant_with_are_refused(level: float, least: int):
    assert 1 / (1 + least) <= level + 1e-12 < 1 / least + 1e-9
    reaching(level, permutations=least, shuffles=None)
    with pytest.raises(UserError, match=rf"flips must be at least {least}, found {least - 1}(.|\n)*--flips {least}"):
        reaching(level, permutations=least, flips=least - 1)
