"""Host memory that is used again: a fresh 30 MB per batch costs more in page faults than all the casting into it.

Owns the rule that makes this safe: a buffer comes back only when the last tensor or array that looks into it is gone.
And asks the C library for the same: to keep what is freed. Knows nothing of what is stored.
"""

import ctypes
import math
import sys
import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

_GRAIN = 1 << 22  # bytes; sizes are rounded up so that batches of about the same size can take turns
_KEPT = 16  # more than wait for a commit at a time; only as many are ever made as are in use at once
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more


def keep_freed_memory() -> None:
    """Has glibc keep freed memory for the next allocation, in this process, from now on; elsewhere does nothing.

    By its own rules it may hand a forward pass's activations back to the system at every layer, and take them anew:
    up to a million page faults in a pass of GPT-2, and a third of its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


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
