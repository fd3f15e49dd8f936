"""How far two right answers may lie apart, from the dtype and the size of the computation, not from what one machine
printed.

Processors and thread counts add the same products in other orders. A sum of n rounded products then differs by about
sqrt(n) unit roundoffs of the sum of their magnitudes (Higham and Mary, "A new approach to probabilistic rounding error
analysis", SIAM J. Sci. Comput. 41(5), 2019, Theorem 3.1: lambda * sqrt(n) * u with probability above
1 - 2 exp(-lambda^2 / 2)), and a residual stream collects one such difference per layer. A number stored as float16 may
besides be rounded to either neighbour of the value.
"""

import math
from typing import Any

import numpy as np
import torch

LAMBDA = 4.0  # one comparison in 1,500 beyond the bound, were it sharp; sums of mixed signs stay far below it
LAYERS, TERMS = 4, 256  # no tiny model of the tests has more layers or a longer sum (tokens, hidden, inner width)


def float32_bound(layers: int = LAYERS, terms: int = TERMS) -> float:
    """Relative to the largest magnitude: two float32 evaluations of one network, each off by LAMBDA sqrt(n) 2^-24."""
    return 2 * LAMBDA * math.sqrt(layers * terms) * 2.0**-24


TINY = float32_bound()
EMBEDDED = float32_bound(layers=6, terms=1024)


def float16_ulp(values: Any) -> np.ndarray:
    """The distance of neighbouring float16 numbers at each value: 2^-10 of its power of two, not below 2^-24."""
    magnitude = np.abs(np.asarray(values, np.float64))
    return np.maximum(2.0 ** (np.floor(np.log2(np.maximum(magnitude, 2.0**-14))) - 10), 2.0**-24)


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, np.float64)


def assert_close(
    actual: Any, expected: Any, bound: float = TINY, stored: Any = False, scale: float | None = None
) -> None:
    """`actual` is what float32 makes of `expected`: within `bound` of the largest magnitude.

    NaN equals NaN, infinities their like; shapes must be the same.

    Args:
        bound: Of `float32_bound`.
        stored: Numbers went through float16, so each may be one float16 further away; an array of the magnitudes that
            did, where they are not those of the result (the mean of several).
        scale: The largest magnitude that was computed with, where cancellation left less in `expected`.
    """
    actual, expected = _array(actual), _array(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    actual, expected = actual[finite], expected[finite]
    allowed = np.full(expected.shape, bound * (scale or np.abs(expected).max(initial=0)))
    if stored is not False:
        allowed += float16_ulp(
            np.maximum(np.abs(actual), np.abs(expected)) if stored is True else np.asarray(stored)[finite]
        )
    off = np.abs(actual - expected)
    assert (off <= allowed).all(), (
        f"{(~(off <= allowed)).sum()} of {off.size} differ by more than rounding can: "
        f"at worst {(off / allowed).max():.3g} times the allowed {allowed[(off / allowed).argmax()]:.3g}"
    )


def assert_probabilities_close(actual: Any, expected: Any, largest_logit: float) -> None:
    """Probabilities from logits up to `largest_logit` in magnitude: softmax moves by at most half of what they do."""
    np.testing.assert_allclose(_array(actual), _array(expected), rtol=0, atol=0.5 * TINY * largest_logit)
