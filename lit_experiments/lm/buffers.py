"""Host memory that is used again: a fresh 30 MB per batch costs more in page faults than all the casting into it.

Owns the rule that makes this safe: a buffer comes back only when the last tensor or array that looks into it is gone.
Knows nothing of what is stored.
"""

import math
import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

_GRAIN = 1 << 22  # bytes; sizes are rounded up so that batches of about the same size can take turns
_KEPT = 16  # more than wait for a commit at a time; only as many are ever made as are in use at once


class _Lease(np.ndarray):
    """A view of a whole buffer. Everything handed out refers to it; its end is the buffer's return."""


class BufferPool:
    """Float16 tensors on the host from recycled memory."""

    def __init__(self) -> None:
        # Returns may happen on any thread, at any moment of a collection: deque's own operations need no lock.
        self._free: deque[np.ndarray] = deque(maxlen=_KEPT)

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """An uninitialised float16 tensor of `shape`, nobody else's for as long as anything refers to its memory."""
        size = 2 * math.prod(shape)
        if size == 0:  # nothing of a text is wanted; numpy's empty arrays cannot be viewed as another dtype
            return torch.empty(shape, dtype=torch.float16)
        raw = self._pop(size)
        lease = raw.view(_Lease)
        weakref.finalize(lease, self._free.append, raw)
        return torch.from_numpy(lease)[:size].view(torch.float16).view(shape)

    def _pop(self, size: int) -> np.ndarray:
        for _ in range(len(self._free)):
            try:
                raw = self._free.pop()
            except IndexError:
                break
            # One much too large would stay in memory for small batches.
            if size <= raw.nbytes <= 4 * max(size, _GRAIN):
                return raw
        return np.empty(-(-size // _GRAIN) * _GRAIN, dtype=np.uint8)
