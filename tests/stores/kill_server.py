"""A process that forks writers and kills them, so that each life costs a fork and not a start of Python.

Reads lines "WAIT_MS COUNT PATH" from stdin: two children write the even and the odd samples below COUNT that the store
lacks, as two parts of it, two samples a commit; both get SIGKILL, WAIT_MS after the first is ready to write (-1: they
are left to finish). Says "ready" when it has imported everything, then answers "killed" or "finished".
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time

import stores
from tests.stores.samples import records

# Loaded before the forks: a life shall write, not import.
WARM = (
    "google_crc32c",
    "h5py",
    "hdf5plugin",
    "numcodecs.blosc",
    "pandas",
    "pyarrow.compute",
    "pyarrow.parquet",
    "xxhash",
)
WARM_OURS = ("stores.zarr_backend", "stores.hdf5_backend")


def write_rest(path: str, count: int, rank: int, ready: int) -> None:
    done = set(stores.open_store(path).sample_ids)
    left = [i for i in range(rank, count, 2) if f"sample-{i}" not in done]
    with stores.PartWriter(path, rank, 1, 1e9) as writer:
        os.write(ready, b".")
        for at in range(0, len(left), 2):
            writer.append(records(left[at : at + 2]))


def fork_writer(path: str, count: int, rank: int, ready: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        write_rest(path, count, rank, ready)
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into its parent's code
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def live(wait_ms: int, count: int, path: str) -> list[int]:
    """One life of two writers; their exit statuses."""
    ready, tell = os.pipe()
    children = [fork_writer(path, count, rank, tell) for rank in range(2)]
    os.close(tell)
    if wait_ms >= 0:
        os.read(ready, 1)
        time.sleep(wait_ms / 1000)
        for child in children:
            os.kill(child, signal.SIGKILL)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    os.close(ready)
    return statuses


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> None:
    for name in (*WARM, *WARM_OURS):
        importlib.import_module(name)
    say("ready")
    for line in sys.stdin:
        wait_ms, count, path = line.split(maxsplit=2)
        statuses = live(int(wait_ms), int(count), path.strip())
        say("finished" if statuses == [0, 0] else f"killed {statuses}")


if __name__ == "__main__":
    main()
