"""Log-space means and variances; Holm's correction."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp
from statsmodels.stats.multitest import multipletests

from lit_experiments.statistics import holm, log_mean_exp, log_variance_exp

LOGS = np.array([-3.0, -1.0, 0.5, -2.2, 0.1, -0.7, 1.1, -5.0, -0.2, 0.9])


def test_log_mean_and_variance_equal_the_plain_ones_in_range():
    assert log_mean_exp(LOGS, 0) == pytest.approx(math.log(np.exp(LOGS).mean()), rel=1e-13)
    assert log_variance_exp(LOGS, 0, ddof=1) == pytest.approx(math.log(np.exp(LOGS).var(ddof=1)), rel=1e-13)


@pytest.mark.parametrize("shift", [-5000.0, 5000.0])
def test_log_mean_and_variance_where_exp_under_or_overflows(shift):
    table = np.stack([LOGS, LOGS * 2]) + shift
    assert log_mean_exp(table, 1) == pytest.approx(logsumexp(table, 1) - math.log(10), rel=1e-13)
    expected = np.log(np.exp(table - shift).var(1, ddof=0)) + 2 * shift
    assert log_variance_exp(table, 1, ddof=0) == pytest.approx(expected, rel=1e-12)


def test_logs_without_values_are_nan_and_impossible_ones_minus_infinity():
    assert np.isnan(log_mean_exp(np.zeros((2, 0)), 1)).all()
    assert math.isnan(log_variance_exp(np.zeros(1), 0, ddof=1))
    assert log_mean_exp(np.array([-np.inf, -np.inf]), 0) == -np.inf
    assert log_variance_exp(np.array([-3.0, -3.0]), 0, ddof=1) == -np.inf
    assert math.isnan(log_mean_exp(np.array([np.nan, 0.0]), 0))


def test_holm_equals_statsmodels_and_keeps_shape():
    p = np.array([[0.01, 0.04, 0.03, 0.005, 0.9], [0.5, 0.03, 0.0001, 0.2, 1.0]])
    assert holm(p) == pytest.approx(multipletests(p.ravel(), method="holm")[1].reshape(2, 5))


def test_holm_leaves_missing_tests_out_of_the_count():
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    with pytest.raises(ValueError, match=r"1\.5"):
        holm([1.5])
