"""What every probe of the tags offers, whoever trained it, and its probabilities of stored words."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.experiments.pos.words import Words

_ROWS = 8192  # words whose states are in memory at a time when probabilities are computed
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class TagProbe(Protocol):
    """Whatever gives words' tags probabilities from the states of one layer."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The tags, in the order of the probabilities."""

    @property
    def layer(self) -> str:
        """The layer whose states it reads."""

    def predict_proba(self, x: ArrayLike) -> Floats:
        """[row, K] from x [row, hidden]."""


def probabilities(probe: TagProbe, words: Words, lines: Ints) -> Floats:
    """[line, K] of the words on these lines, from the states of the probe's layer."""
    parts = [
        probe.predict_proba(words.states(lines[start : start + _ROWS], probe.layer))
        for start in range(0, len(lines), _ROWS)
    ]
    return np.concatenate([np.zeros((0, len(probe.classes))), *parts])
