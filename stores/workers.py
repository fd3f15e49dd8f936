"""One small thread pool per process for compressing, decompressing and checking. Fork-safe: a child makes its own.

Compression libraries release Python's lock in these threads; in the main thread numcodecs would use its global pool,
which is not safe after a fork, so all (de)compression goes through here.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_NAME = "stores-worker"
_pools: dict[int, ThreadPoolExecutor] = {}


def n_workers() -> int:
    """Processors this process may use, at most 8: beyond that the disk or the memory bus is the limit."""
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def pool() -> ThreadPoolExecutor:
    """This process's pool, made when first needed."""
    pid = os.getpid()
    if pid not in _pools:
        _pools[pid] = ThreadPoolExecutor(n_workers(), thread_name_prefix=_NAME)
    return _pools[pid]


def run_all(tasks: Iterable[Callable[[], None]]) -> None:
    """Run tasks in the pool and wait for all; in place if this is one of its threads, which must not wait for others.

    Raises what the first failing task raised.
    """
    if threading.current_thread().name.startswith(_NAME):
        for task in tasks:
            task()
        return
    for future in [pool().submit(task) for task in tasks]:
        future.result()


def map_ordered(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in order, with no more than a few items in flight, so that memory stays flat."""
    waiting: deque[Future[R]] = deque()
    limit = n_workers() + 2
    for item in items:
        waiting.append(pool().submit(work, item))
        if len(waiting) >= limit:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
