"""The hidden vector against single numbers of the starting point: which predicts better, and what it adds to entropy.

At L = 1 nothing has to be learned: the expectation of log p over the next token is minus its entropy, so the best
prediction of one continuation's log-tempnorm is -(alpha - 1) times that entropy. (log of sum p^alpha is the log of
E[tempnorm], another quantity.)

Does not know: how ridges are fitted, where results are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.tempnorm.result import Comparison
from lit_experiments.probes.baselines import held_out_r2, on_one_number, r2_gains, univariate
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.probes.result import score_part
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.power import detectable

Floats = NDArray[np.float64]

ENTROPY = "next_token_entropy"
EXACT = "exact_log_expectation"
BASELINES = {
    "prefix_length": "the prefix length",
    ENTROPY: "the next-token entropy",
    "log_one_step": "log sum p^alpha",
}
"""Column of the store -> what a regression on it alone is called in sentences."""


def left_by_entropy(true: Floats, entropy: Floats, train: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(predictions of a regression on the entropy [row, L], what they leave of `true` [row, generation, L]).

    entropy: [row] nats; train: [row] which rows it is fitted to.
    """
    predicted = on_one_number(entropy, true, train, np.nanmean(true[train], axis=(0, 1)))
    return predicted, true - predicted[:, None, :]


def compare(
    hidden: Predictions,
    numbers: Mapping[str, Floats],
    with_entropy: Floats,
    lengths: Sequence[int],
    alpha: float,
) -> list[Comparison]:
    """One comparison per eval length.

    hidden: what the ridge predicts. numbers: those of BASELINES, [row]. with_entropy: [row, L] predictions from entropy
    and hidden vector together.
    """
    train, true, center = ~hidden.test, hidden.true, hidden.center
    alone = {name: on_one_number(numbers[name], true, train, center) for name in BASELINES}
    scores = {name: univariate(hidden, numbers[name]) for name in BASELINES}
    gaps = {name: r2_gains(hidden, hidden.predicted, predicted) for name, predicted in alone.items()}
    exact = np.repeat(-(alpha - 1) * numbers[ENTROPY][:, None], len(lengths), 1)
    gaps[EXACT] = r2_gains(hidden, hidden.predicted, exact)
    joint, beyond = held_out_r2(hidden, with_entropy), r2_gains(hidden, with_entropy, alone[ENTROPY])
    return [
        Comparison(
            {name: values[t] for name, values in scores.items()},
            {name: values[t] for name, values in gaps.items() if name != EXACT or length == 1},
            score_part(replace(hidden, predicted=exact), "test", t) if length == 1 else None,
            joint[t],
            beyond[t],
        )
        for t, length in enumerate(lengths)
    ]


def sentences(comparisons: Mapping[int, Comparison], contexts: int) -> list[str]:
    """Where the hidden vector loses to one number, and where it adds to the entropy, by eval length.

    contexts: that are held out.
    """
    first = next(iter(comparisons.values()))
    if all(estimate.too_few for estimate in first.hidden_less.values()):
        reason = first.beyond_entropy.no_interval
        return [f"Held out are {contexts} contexts ({reason}): too few to compare the hidden vector with one number."]
    names = BASELINES | {EXACT: "-(alpha - 1) times the next-token entropy, the exact expectation,"}
    lines = []
    for name, label in names.items():
        gaps = {length: c.hidden_less[name] for length, c in comparisons.items() if name in c.hidden_less}
        if gaps:
            lines.append(f"Against {label} alone the hidden vector {_sides(gaps)}.")
    gains = {length: c.beyond_entropy for length, c in comparisons.items()}
    return [
        *lines,
        f"Next to a straight line in the next-token entropy alone the hidden vector {_sides(gains, _ADDS)}.",
    ]


_BEATS = {-1: "loses", 1: "wins", 0: "is not told apart"}
_ADDS = {-1: "makes predictions worse", 1: "adds to R2", 0: "is not seen to add"}


def _power(gaps: Mapping[int, Estimate], lengths: Sequence[str]) -> str:
    """What would have been seen at the lengths where nothing is; nothing where there is no interval."""
    sizes = [detectable(gaps[int(length)]) for length in lengths]
    if not all(map(math.isfinite, sizes)):
        return ""
    return f" ({max(sizes):.2g} of R2 would have been seen with 80 % power)"


def _sides(gaps: Mapping[int, Estimate], words: Mapping[int, str] = _BEATS) -> str:
    """'loses at L = 1, 2; is not told apart at L = 5'."""
    parts = []
    for side, word in words.items():
        lengths = [str(length) for length, gap in gaps.items() if gap.side_of(0) == side]
        if lengths:
            parts.append(f"{word} at L = {', '.join(lengths)}{_power(gaps, lengths) if not side else ''}")
    return "; ".join(parts)
