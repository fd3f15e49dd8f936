"""Random numbers that depend on what is sampled, not on when or where: one stream per (seed, sample, draw).

Owns the convention. The stream's key is blake2b of the three; its counter is the position, in its row, of the token to
be sampled; at each position it gives one Exp(1) number per vocabulary entry, drawn by numpy on the host whatever device
the model is on. So order, batch size, device count, resuming, and cutting one call into two change nothing.
Knows no model.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_WORTH_A_THREAD = 1 << 17  # numbers per step; below that, handing work over costs more than doing it
_HANDED_OVER = 1 << 15  # numbers that a thread draws at a time


@dataclass(frozen=True)
class StreamKey:
    """Names one random stream: the run's seed, the sample's stable id, and which of its draws this is."""

    seed: int
    sample_id: str
    draw: int

    def words(self) -> tuple[int, int]:
        """Philox's 128-bit key as two 64-bit words."""
        return _words(self)


Pair = tuple[StreamKey, int]  # a stream, and the position in it


@lru_cache(maxsize=1 << 16)
def _words(key: StreamKey) -> tuple[int, int]:
    text = json.dumps([key.seed, key.sample_id, key.draw])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def race_noise(key: StreamKey, position: int, size: int) -> np.ndarray:
    """-log E for independent E ~ Exp(1), float32 [size]. argmax(log p + noise) = argmin(E / p) is a draw from p."""
    return _noise([(key, position)], size)[0]


def _noise(pairs: Sequence[Pair], size: int) -> np.ndarray:
    """[row, size] `race_noise` of each key and position."""
    out = np.empty((len(pairs), size), np.float32)
    _fill(out, pairs)
    return out


def _fill(out: np.ndarray, pairs: Sequence[Pair]) -> None:
    """Puts `race_noise` of each key and position into the rows of `out`."""
    waiting = np.empty(out.shape)
    for row, (key, position) in zip(waiting, pairs, strict=True):
        generator = np.random.Generator(np.random.Philox(key=key.words(), counter=(0, 0, 0, position)))
        generator.standard_exponential(out=row)
    # In float64: float32 would give exact zeros, one in 2**24, and each would win its race.
    np.maximum(waiting, np.finfo(np.float64).tiny, out=waiting)
    np.negative(np.log(waiting, out=waiting), out=waiting)
    out[:] = waiting


@dataclass(frozen=True)
class _Drawn:
    """noise [row, size], complete once `blocks` are done; row: of each key and position."""

    noise: np.ndarray
    row: dict[Pair, int]
    blocks: list[Future[None]]

    def of(self, pairs: Sequence[Pair]) -> np.ndarray:
        """The rows of these, waited for."""
        for block in self.blocks:
            block.result()
        rows = [self.row[pair] for pair in pairs]
        return self.noise if rows == list(range(len(self.noise))) else self.noise[rows]


class NoiseAhead:
    """Noise for a batch of rows, one step after another; large steps are drawn ahead while the model computes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: _Drawn | None = None

    def __enter__(self) -> "NoiseAhead":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def draw(self, keys: Sequence[StreamKey], positions: Sequence[int], last: bool) -> Tensor:
        """Noise float32 [rows, size] for this step; unless it is the last, the next step's is started."""
        pairs = list(zip(keys, positions, strict=True))
        if len(keys) * self.size < _WORTH_A_THREAD:
            return torch.from_numpy(_noise(pairs, self.size))
        ahead = self._ahead
        if ahead is None or not all(pair in ahead.row for pair in pairs):
            ahead = self._start(pairs)
        self._ahead = None if last else self._start([(key, position + 1) for key, position in pairs])
        return torch.from_numpy(ahead.of(pairs))

    def _start(self, pairs: Sequence[Pair]) -> _Drawn:
        """Hands rows over to threads, some at a time."""
        self._pool = self._pool or ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
        noise, step = np.empty((len(pairs), self.size), np.float32), max(1, _HANDED_OVER // self.size)
        blocks = [
            self._pool.submit(_fill, noise[start : start + step], pairs[start : start + step])
            for start in range(0, len(pairs), step)
        ]
        return _Drawn(noise, {pair: row for row, pair in enumerate(pairs)}, blocks)
