"""A claim of known truth, and the parts that all kinds are made of: sizes, letter probabilities, states.

Owns: what a claim holds. Does not know: kinds, stores, verdicts' rule.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
LETTERS = "STUVWXYZ"
MIDPOINTS = np.array([2.5, 10.0, 20.0, 40.0, 60.0, 77.5, 87.5, 95.0])
"""Percent that the eight letters of a confidence pass stand for."""
SUPPORTED, SURFACE, OUTPUT, LEAKED, UNDERPOWERED, NOT = (
    "supported",
    "surface-explained",
    "output-explained",
    "leaked",
    "underpowered",
    "not supported",
)
VERDICTS = (SUPPORTED, SURFACE, OUTPUT, LEAKED, UNDERPOWERED, NOT)


@dataclass(frozen=True)
class Size:
    """rows, layers, hidden dims of a claim's store."""

    rows: int
    layers: int
    hidden: int


@dataclass(frozen=True, eq=False)
class Planted:
    """What a kind makes: n rows and the truth about them.

    texts, options: [n]. key: [n] the right option's letter. probs: [n, 8] of the pass's letters. states: [layer, n,
    hidden]. target: [n] numbers, or codes from 0 on where `classes`; NaN is no label. group: [n] names of speakers or
    documents, None where there are none. columns: further columns of a store of texts, name -> (type, [n] values);
    without: columns that it lacks; dtype: of its states. A store of study 3 always has the same columns.
    """

    texts: Sequence[str]
    options: Sequence[Sequence[str]]
    key: Sequence[str]
    probs: Floats
    states: Floats32
    target: Floats
    classes: bool = False
    group: Sequence[str] | None = None
    columns: Mapping[str, tuple[str, Sequence[Any]]] = field(default_factory=dict)
    without: Sequence[str] = ()
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class PlantedClaim:
    """A claim that states tell `planted.target`. right: the verdicts that are right, the best one first."""

    kind: str
    seed: int
    right: tuple[str, ...]
    planted: Planted


@dataclass(frozen=True, eq=False)
class Workshop:
    """Where a kind takes its random parts from; everything follows from kind and seed."""

    kind: str
    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rng", np.random.default_rng([self.seed, zlib.crc32(self.kind.encode())]))

    def size(self, least: int = 200, most: int = 600, layers: int | None = None) -> Size:
        """A store of 200 to 600 rows, 4 to 8 layers and 32 to 128 dims, unless a kind needs another."""
        rows = int(self.rng.integers(least, most + 1))
        return Size(rows, layers or int(self.rng.integers(4, 9)), int(self.rng.choice([32, 48, 64, 96, 128])))

    def probs(self, rows: int) -> Floats:
        """[row, 8] letter probabilities that have nothing to do with anything else."""
        logits = self.rng.normal(size=(rows, len(LETTERS))) * self.rng.uniform(0.8, 1.6, (rows, 1))
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum(1, keepdims=True))

    def states(self, size: Size, features: ArrayLike, strength: float, layers: Sequence[int] | None = None) -> Floats32:
        """[layer, row, hidden] correlated noise that holds features [row] or [row, F] along random directions.

        strength: standard deviation of a feature along its direction; that of the noise there is 1. layers: that hold
        the features; None takes those from a third of the depth on. Every layer has a mean and a scale of its own.
        """
        columns = np.asarray(features, np.float64).reshape(size.rows, -1)
        spread = columns.std(0)
        columns = (columns - columns.mean(0)) / np.where(spread > 0, spread, 1.0)
        holding = range(size.layers // 3, size.layers) if layers is None else layers
        directions = np.linalg.qr(self.rng.normal(size=(size.hidden, size.hidden)))[0][: columns.shape[1]]
        mixing = np.linalg.qr(self.rng.normal(size=(size.hidden, size.hidden)))[0]
        scales = np.exp(self.rng.normal(0, 0.5, size.hidden))
        scales /= np.sqrt(np.mean(scales**2))
        out = np.empty((size.layers, size.rows, size.hidden))
        for layer in range(size.layers):
            noise = (self.rng.normal(size=(size.rows, size.hidden)) * scales) @ mixing
            if layer in holding:
                noise = noise + strength * columns @ directions
            out[layer] = (noise + self.rng.normal(size=size.hidden)) * (1 + layer / 2)
        return out.astype(np.float32)
