"""Memory that the engine's workers fill and the collection's writer reads: no state is copied on the way or serialised.

Owns what a reading or a sampling puts where (`Plan`, `Views`), and the memory itself (`Regions`): anonymous files,
which a worker opens under /proc for as long as this process lives, so nothing is left behind when it is killed, and
which are used again once nothing refers to what they hold. Knows no vLLM.
"""

import math
import mmap
import os
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_GRAIN = 1 << 22  # bytes; sizes are rounded up, so that batches of about the same size can take turns
_KEPT = 16
_ALIGNED = 64
_NUMPY = {torch.float16: np.float16, torch.float32: np.float32, torch.int8: np.int8, torch.bool: np.bool_}


@dataclass(frozen=True)
class Reading:
    """What is wanted of every site. rows: per sequence, the tokens that are read. statistic: None for their states
    themselves, else `mean` or `max` over them. unrounded: states in float32 and not in float16 with exponents."""

    rows: list[list[int]]
    statistic: str | None
    unrounded: bool

    @cached_property
    def tokens(self) -> int:
        """How many tokens are read."""
        return sum(map(len, self.rows))


@dataclass(frozen=True)
class Plan:
    """One pass over texts, or one call that continues them.

    path: the file that is mapped. sites: whose states are read. sequences: the texts. readings: see `Reading`.
    next_logits, log_probs: whether the logits behind each text, and the log-probability of every token that has a
    predecessor, are wanted. steps: how many tokens are sampled, 0 when texts are read.
    """

    path: str
    sites: list[str]
    sequences: list[list[int]]
    readings: list[Reading]
    hidden: int
    vocabulary: int
    next_logits: bool = False
    log_probs: bool = False
    steps: int = 0

    @property
    def scored(self) -> int:
        """How many tokens have a predecessor."""
        return sum(map(len, self.sequences)) - len(self.sequences)

    def shapes(self) -> Iterator[tuple[torch.dtype, tuple[int, ...]]]:
        """What lies in the memory, one after the other; `Views` has the same order."""
        sites, texts = len(self.sites), len(self.sequences)
        for reading in self.readings:
            if reading.statistic is None:
                yield torch.float32 if reading.unrounded else torch.float16, (sites, reading.tokens, self.hidden)
                yield torch.int8, (sites, reading.tokens)
            else:
                yield torch.float32, (sites, texts, self.hidden)
                yield torch.int8, (0,)
            yield torch.bool, (sites, reading.tokens)
        yield torch.float32, (texts if self.next_logits else 0, self.vocabulary)
        yield torch.float32, (self.scored if self.log_probs else 0,)
        yield torch.float32, (texts, self.steps)
        yield torch.bool, (texts, self.steps)

    def size(self) -> int:
        """Bytes."""
        return sum(_padded(dtype.itemsize * math.prod(shape)) for dtype, shape in self.shapes())


@dataclass(frozen=True)
class ReadingViews:
    """values: float16 or float32 [site, token, hidden], or sums and maxima in float32 [site, sequence, hidden];
    exponents: int8 [site, token]; finite: bool [site, token]."""

    values: Tensor
    exponents: Tensor
    finite: Tensor


@dataclass(frozen=True)
class Views:
    """The memory of a plan as tensors. next_logits: float32 [sequence, vocabulary]; log_probs: float32 [token that has
    a predecessor]; of what was sampled, token_log_probs: float32 [sequence, step], close: bool [sequence, step]."""

    readings: list[ReadingViews]
    next_logits: Tensor
    log_probs: Tensor
    token_log_probs: Tensor
    close: Tensor


def views(plan: Plan, memory: np.ndarray) -> Views:
    """`memory` (uint8, at least `plan.size()`) as the tensors of a plan; whatever refers to them keeps it."""
    tensors, start = [], 0
    for dtype, shape in plan.shapes():
        count = math.prod(shape)
        part: np.ndarray = memory[start : start + count * dtype.itemsize].view(_NUMPY[dtype])
        tensors.append(torch.from_numpy(part).view(shape) if count else torch.empty(shape, dtype=dtype))
        start += _padded(count * dtype.itemsize)
    parts = [ReadingViews(*tensors[3 * k : 3 * k + 3]) for k in range(len(plan.readings))]
    return Views(parts, *tensors[3 * len(plan.readings) :])


class _Lease(np.ndarray):
    """A view of a whole region. Everything handed out refers to it; its end is the region's return."""


class Regions:
    """Regions that take turns. Linux alone has what they are made of."""

    def __init__(self) -> None:
        self._free: deque[tuple[str, np.ndarray]] = deque(maxlen=_KEPT)

    def take(self, size: int) -> tuple[str, np.ndarray]:
        """A path for the workers, and at least `size` bytes, uninitialised, nobody else's while referred to."""
        path, raw = self._pop(size)
        lease = raw.view(_Lease)
        weakref.finalize(lease, self._free.append, (path, raw))
        return path, lease

    def _pop(self, size: int) -> tuple[str, np.ndarray]:
        for _ in range(len(self._free)):
            path, raw = self._free.pop()
            if size <= raw.nbytes <= 4 * max(size, _GRAIN):
                return path, raw
        size = max(1, -(-size // _GRAIN)) * _GRAIN
        descriptor = os.memfd_create("lit_experiments")
        os.ftruncate(descriptor, size)
        raw = np.frombuffer(mmap.mmap(descriptor, size), dtype=np.uint8)
        weakref.finalize(raw, os.close, descriptor)
        return f"/proc/{os.getpid()}/fd/{descriptor}", raw


class MappedRegions:
    """The same memory in a worker: a file that was mapped once stays mapped."""

    def __init__(self) -> None:
        self._mapped: dict[tuple[str, int], np.ndarray] = {}

    def open(self, path: str) -> np.ndarray:
        """The whole region, uint8."""
        with Path(path).open("r+b") as file:
            key = (path, os.fstat(file.fileno()).st_ino)
            if key not in self._mapped:
                self._mapped = {held: raw for held, raw in self._mapped.items() if held[0] != path}
                self._mapped[key] = np.frombuffer(mmap.mmap(file.fileno(), 0), dtype=np.uint8)
        return self._mapped[key]


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
