"""The quantities of the study, as functions on arrays.

For a continuation x_1..x_L of a prefix, sampled from p:  tempnorm_L = prod_t p(x_t | prefix, x_<t)^(alpha - 1), so that
E[tempnorm_L] = sum over x of p(x)^alpha: what the continuations keep of their mass under p^alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics import log_mean_exp, log_variance_exp

Floats = NDArray[np.float64]


def log_tempnorm(log_probs: NDArray[np.floating], eval_lengths: list[int], alpha: float) -> Floats:
    """(alpha - 1) * sum over t <= L of log p_t, in nats, for every eval length L.

    Args:
        log_probs: [..., step], nats; NaN after a continuation's end, where nothing more is added.
        eval_lengths: from 1 to the number of steps.
        alpha: the exponent of the sharpened distribution.

    Returns:
        [..., eval_length]
    """
    steps = log_probs.shape[-1]
    if min(eval_lengths) < 1 or max(eval_lengths) > steps:
        raise ValueError(f"Eval lengths must lie in 1..{steps}, found {eval_lengths}.")
    sums = np.cumsum(np.nan_to_num(log_probs.astype(np.float64), nan=0.0), axis=-1)
    return (alpha - 1) * sums[..., np.asarray(eval_lengths) - 1]


def alike(log_probs: NDArray[np.floating], token_ids: NDArray[np.integer]) -> NDArray[np.floating]:
    """Log-probabilities of which continuations of one starting point share those of their common beginning.

    The same text has the same probability; only rounding, which differs from row to row of a batch, would tell two
    continuations with the same tokens apart, and a variance of 0 would come out as some tiny number.

    Args:
        log_probs: [..., generation, step].
        token_ids: [..., generation, step].

    Returns:
        [..., generation, step], each value that of the first continuation with the same tokens up to that step.
    """
    shared = np.logical_and.accumulate(token_ids[..., :, None, :] == token_ids[..., None, :, :], axis=-1)
    return np.take_along_axis(log_probs, shared.argmax(axis=-2), axis=-2)


def log_one_step(next_token_log_probs: Floats, alpha: float) -> Floats:
    """log of sum over tokens of p^alpha: the log of E[tempnorm] at L = 1, exactly.

    Args:
        next_token_log_probs: [..., vocabulary], nats, normalised.
        alpha: the exponent of the sharpened distribution.

    Returns:
        [...]
    """
    scaled = alpha * next_token_log_probs
    top = scaled.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(scaled - top).sum(axis=-1, keepdims=True)))[..., 0]


def entropy(next_token_log_probs: Floats) -> Floats:
    """Entropy of the next-token distribution, nats. [..., vocabulary] -> [...]"""
    p = np.exp(next_token_log_probs)
    return -(p * np.where(p > 0, next_token_log_probs, 0.0)).sum(axis=-1)


@dataclass(frozen=True)
class Summary:
    """Mean and variance (ddof 1) over the continuations of a starting point, [..., eval_length], plain and as logs.

    The plain values underflow to 0 for long L; the logs do not.
    """

    mean: Floats
    variance: Floats
    log_mean: Floats
    log_variance: Floats


def over_continuations(log_values: Floats) -> Summary:
    """Summarises [..., generation, eval_length] over the generation axis, without leaving log space."""
    log_mean = log_mean_exp(log_values, axis=-2)
    log_variance = log_variance_exp(log_values, axis=-2, ddof=1)
    return Summary(np.exp(log_mean), np.exp(log_variance), log_mean, log_variance)
