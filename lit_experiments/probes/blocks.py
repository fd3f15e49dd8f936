"""Blocks of rows, and how one pass over them is shared out. Knows nothing of where rows come from or what is fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEST = -1
"""The `fold` of a row in the test part; training rows carry their fold, 0 or above."""


@dataclass
class Block:
    """Some rows of a data set. Arrays are numpy, because Lightning casts tensors in a batch to the Trainer's precision.

    index: position in the plan of the pass, -1 for the empty block that keeps ranks in step. x: [row, layer, hidden]
    floats, of the layers that the pass reads. y: [row, repetition, target] float64; a repetition that is NaN in every
    target is absent. group, fold, rows: [row] group code, fold (TEST or 0..folds-1), row number in the data set.
    weight: [row] float64, how many times the row counts.
    """

    index: int
    x: NDArray[np.floating]
    y: NDArray[np.float64]
    group: NDArray[np.int64]
    fold: NDArray[np.int64]
    rows: NDArray[np.int64]
    weight: NDArray[np.float64]


def share(todo: list[int], rank: int, ranks: int) -> list[int]:
    """This rank's block indices, padded with -1 so that every rank makes the same number of steps, at least one.

    Lightning's training loop talks between ranks at each step, so ranks with different numbers of steps would hang.
    """
    steps = max(1, -(-len(todo) // ranks))
    mine = todo[rank::ranks]
    return mine + [-1] * (steps - len(mine))


class BlockLoader:
    """Iterates over blocks, reading the next one while the current one is in use."""

    def __init__(self, read: Callable[[int], Block], indices: list[int]) -> None:
        self._read, self._indices = read, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Block]:
        with ThreadPoolExecutor(1) as reader:
            coming = None
            for index in self._indices:
                ready, coming = coming, reader.submit(self._read, index)
                if ready is not None:
                    yield ready.result()
                    # Let go of the block before waiting for the next: two in memory, never three.
                    del ready
            if coming is not None:
                yield coming.result()
