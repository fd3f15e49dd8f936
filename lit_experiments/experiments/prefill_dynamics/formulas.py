"""How smoothly a trajectory of hidden states moves: pure functions on arrays.

A trajectory is one text's states [layer, token, hidden]. Differences are between neighbouring tokens; a token that is
left out takes the differences on both of its sides with it, nothing is bridged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

METRICS = {
    "smoothness": "mean L2 norm of the differences between neighbouring tokens; lower is smoother",
    "magnitude": "mean L2 norm of the states",
    "variance": "variance of these norms (ddof 1)",
    "relative smoothness": "smoothness / magnitude",
    "consistency": "mean cosine between successive differences: 1 straight on, -1 back and forth",
}


@dataclass(frozen=True)
class Steps:
    """What is kept of a trajectory: numbers per token.

    norms: [layer, token] |h_t|. deltas: [layer, token - 1] |h_t - h_{t-1}|, entry i belongs to token i + 1. turns:
    [layer, token - 2] cosine of h_t - h_{t-1} with h_{t+1} - h_t, NaN where one of them is zero.
    """

    norms: Floats
    deltas: Floats
    turns: Floats

    @property
    def tokens(self) -> int:
        return self.norms.shape[1]


def steps(states: NDArray[np.float32]) -> Steps:
    """Norms, differences and turns of states [layer, token, hidden], in float64, one layer at a time."""
    layers, tokens, _ = states.shape
    norms = np.empty((layers, tokens))
    deltas, turns = np.empty((layers, max(tokens - 1, 0))), np.empty((layers, max(tokens - 2, 0)))
    for layer in range(layers):
        path = states[layer].astype(np.float64)
        moves = np.diff(path, axis=0)
        norms[layer], deltas[layer] = np.linalg.norm(path, axis=1), np.linalg.norm(moves, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            dots = np.einsum("td,td->t", moves[:-1], moves[1:])
            turns[layer] = dots / (deltas[layer, :-1] * deltas[layer, 1:])
    return Steps(norms, deltas, turns)


def sinks(norms: Floats, first: int, factor: float) -> Mask:
    """[layer, token] True at position 0 of the text and where a norm exceeds `factor` times the layer's median.

    norms: [layer, token]; first: position in the text of the first of these tokens.
    """
    if norms.shape[1] == 0:
        return np.zeros(norms.shape, bool)
    marked = norms > factor * np.median(norms, axis=1, keepdims=True)
    if first == 0:
        marked[:, 0] = True
    return marked


def metrics(trajectory: Steps, upto: int | None, left_out: Mask | None) -> dict[str, Floats]:
    """Each of METRICS by layer, over the first `upto` tokens (None: all); NaN where there is nothing to average.

    left_out: [layer, token] tokens that do not count, e.g. sinks.
    """
    norms = trajectory.norms[:, :upto]
    tokens = norms.shape[1]
    deltas, turns = trajectory.deltas[:, : max(tokens - 1, 0)], trajectory.turns[:, : max(tokens - 2, 0)]
    counted = np.ones(norms.shape, bool) if left_out is None else ~left_out[:, :tokens]
    neighbours = counted[:, 1:] & counted[:, :-1]
    smooth, size = _mean(deltas, neighbours), _mean(norms, counted)
    spread = _mean((norms - size[:, None]) ** 2, counted)
    count = counted.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "smoothness": smooth,
            "magnitude": size,
            "variance": np.where(count > 1, spread * count / (count - 1), np.nan),
            "relative smoothness": smooth / size,
            "consistency": _mean(turns, neighbours[:, 1:] & neighbours[:, :-1] & np.isfinite(turns)),
        }


def _mean(values: Floats, counted: Mask) -> Floats:
    """Mean by layer of the counted values, NaN where there are none."""
    number = counted.sum(1)
    total = np.where(counted, values, 0.0).sum(1)
    return np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0)
