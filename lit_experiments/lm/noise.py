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

import numpy as np
import torch
from torch import Tensor

_WORTH_A_THREAD = 1 << 17  # numbers per step; below that, handing work over costs more than doing it


@dataclass(frozen=True)
class StreamKey:
    """Names one random stream: the run's seed, the sample's stable id, and which of its draws this is."""

    seed: int
    sample_id: str
    draw: int

    def words(self) -> tuple[int, int]:
        """Philox's 128-bit key as two 64-bit words."""
        text = json.dumps([self.seed, self.sample_id, self.draw])
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def race_noise(key: StreamKey, position: int, size: int) -> np.ndarray:
    """-log E for independent E ~ Exp(1), float32 [size]. argmax(log p + noise) = argmin(E / p) is a draw from p."""
    generator = np.random.Generator(np.random.Philox(key=key.words(), counter=(0, 0, 0, position)))
    waiting = generator.standard_exponential(size)
    # In float64: float32 would give exact zeros, one in 2**24, and each would win its race.
    return -np.log(np.maximum(waiting, np.finfo(np.float64).tiny)).astype(np.float32)


class NoiseAhead:
    """Noise for a batch of rows, one step after another; large steps are drawn ahead while the model computes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: dict[tuple[StreamKey, int], Future[np.ndarray]] = {}

    def __enter__(self) -> "NoiseAhead":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def draw(self, keys: Sequence[StreamKey], positions: Sequence[int], last: bool) -> Tensor:
        """Noise float32 [rows, size] for this step; unless it is the last, the next step's is started."""
        if len(keys) * self.size < _WORTH_A_THREAD:
            rows = [race_noise(key, position, self.size) for key, position in zip(keys, positions, strict=True)]
            return torch.from_numpy(np.stack(rows))
        wanted = list(zip(keys, positions, strict=True))
        futures = [self._ahead.pop(pair) if pair in self._ahead else self._submit(*pair) for pair in wanted]
        if not last:
            self._ahead = {(key, position + 1): self._submit(key, position + 1) for key, position in wanted}
        return torch.from_numpy(np.stack([future.result() for future in futures]))

    def _submit(self, key: StreamKey, position: int) -> "Future[np.ndarray]":
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
        return self._pool.submit(race_noise, key, position, self.size)
