"""The study's quantities against closed forms."""

import numpy as np
import pytest
from scipy.special import logsumexp

from lit_experiments.experiments.tempnorm.formulas import (
    alike,
    entropy,
    log_one_step,
    log_tempnorm,
    over_continuations,
)


def test_log_tempnorm_is_the_scaled_sum_of_log_probabilities() -> None:
    log_probs = np.log([[0.5, 0.25, 0.1], [0.9, 0.8, 0.7]])
    values = log_tempnorm(log_probs, [1, 3], alpha=4)
    assert np.allclose(values, 3 * np.log([[0.5, 0.0125], [0.9, 0.504]]))


def test_nothing_is_added_after_a_continuation_ends() -> None:
    ended = np.log([[0.5, np.nan, np.nan]])
    assert np.allclose(log_tempnorm(ended, [1, 2, 3], alpha=3), 2 * np.log(0.5))


def test_eval_lengths_outside_the_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.\.3"):
        log_tempnorm(np.zeros((2, 3)), [1, 4], alpha=4)


def test_sharpening_whole_strings_differs_from_sharpening_letters() -> None:
    """p(ab)=.44, p(aa)=0, p(ba)=p(bb)=.28: letter by letter b wins, over strings a does."""
    first = {"a": 0.44, "b": 0.56}
    rest = {"a": np.array([0.0, 1.0]), "b": np.array([0.5, 0.5])}
    assert first["b"] > first["a"]
    rng = np.random.default_rng(0)
    mass = {}
    for letter, p in rest.items():
        drawn = p[rng.choice(2, size=(20_000, 1), p=p)]
        mass[letter] = first[letter] ** 4 * np.exp(log_tempnorm(np.log(drawn), [1], alpha=4)).mean()
    assert mass["a"] == pytest.approx(0.0375, abs=5e-5)
    assert mass["b"] == pytest.approx(0.0123, abs=5e-5)


def test_one_step_value_and_entropy_of_known_distributions() -> None:
    p = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        logs = np.log(p)
    assert np.allclose(np.exp(log_one_step(logs, 4)), (p**4).sum(-1))
    assert np.allclose(entropy(logs), [1.5 * np.log(2), 0.0])


def test_summary_over_continuations_survives_underflow() -> None:
    logs = np.array([[-2000.0], [-2001.0], [-2003.0]])
    summary = over_continuations(logs)
    assert summary.mean == 0.0
    assert summary.log_mean == pytest.approx(logsumexp(logs) - np.log(3))
    shifted = np.exp(logs + 2000)
    assert summary.log_variance == pytest.approx(np.log(shifted.var(ddof=1)) - 4000)


def test_summary_equals_plain_statistics_where_nothing_underflows() -> None:
    values = np.random.default_rng(1).uniform(0.1, 0.9, (4, 8, 3))
    summary = over_continuations(np.log(values))
    assert np.allclose(summary.mean, values.mean(1))
    assert np.allclose(summary.variance, values.var(1, ddof=1))


def test_continuations_share_the_values_of_their_common_beginning_and_nothing_else() -> None:
    tokens = np.array([[[1, 2, 3], [1, 2, 4], [5, 2, 3], [1, 2, 4]], [[1, 2, 3], [1, 7, 3], [1, 7, -1], [1, 2, 3]]])
    values = np.arange(24.0).reshape(2, 4, 3)
    expected = [
        [[0, 1, 2], [0, 1, 5], [6, 7, 8], [0, 1, 5]],
        [[12, 13, 14], [12, 16, 17], [12, 16, 20], [12, 13, 14]],
    ]
    np.testing.assert_array_equal(alike(values, tokens), expected)


def test_continuations_of_equal_tokens_have_no_variance_whatever_rounding_says() -> None:
    tokens = np.full((1, 3, 4), 7)
    rounded = np.float32(-0.5) + np.random.default_rng(0).normal(0, 1e-6, (1, 3, 4)).astype(np.float32)
    assert over_continuations(log_tempnorm(rounded, [4], 4)).variance[0, 0] > 0
    summary = over_continuations(log_tempnorm(alike(rounded, tokens), [1, 4], 4))
    assert summary.variance.tolist() == [[0.0, 0.0]]
    assert summary.log_variance.tolist() == [[-np.inf, -np.inf]]
