"""What the Trainer is told of the launch, and how processes that others started wait for each other.

Without this, Lightning would look for launchers itself, and take what an interactive shell or a batch script of SLURM
leaves in the environment for one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from lightning.pytorch.plugins.environments import ClusterEnvironment

from lit_experiments.errors import RunFailed
from lit_experiments.launch import Launch, current

_SLOWEST = timedelta(days=30)  # that one process may take longer than another
_LONELY = 30.0  # seconds of waiting for the others before it is said


class LaunchEnvironment(ClusterEnvironment):
    """The launch that `launch.current` reads, for the Trainer's `plugins`."""

    def __init__(self, launch: Launch | None = None) -> None:
        super().__init__()
        self._launch = launch or current()

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._launch.address

    @property
    def main_port(self) -> int:
        return self._launch.port

    @staticmethod
    def detect() -> bool:
        """Never chosen by Lightning; always given."""
        return False

    def world_size(self) -> int:
        return self._launch.world_size

    def set_world_size(self, size: int) -> None:
        """Lightning derives it from devices and nodes, which are checked against the launch."""

    def global_rank(self) -> int:
        return self._launch.rank

    def set_global_rank(self, rank: int) -> None:
        """Likewise."""

    def local_rank(self) -> int:
        return self._launch.local_rank

    def node_rank(self) -> int:
        return self._launch.node_rank


class Rendezvous:
    """Where the processes of an external launch wait for each other at the end, however much slower one of them is.

    To be made in all of them, once they know each other. Says nothing and waits for nothing in any other launch.
    """

    def __init__(self) -> None:
        external = current().is_external and dist.is_initialized()
        self._group: Any = dist.new_group(backend="gloo", timeout=_SLOWEST) if external else None

    def wait(self) -> None:
        """Returns when all processes have come here.

        Raises:
            RunFailed: one of them has ended before.
        """
        if self._group is None:
            return
        try:
            dist.barrier(group=self._group)
        except RuntimeError as error:
            raise RunFailed(
                "another process of this launch ended before its share was done (its own message says why). "
                "What is committed is safe; the same command goes on from here."
            ) from error


@contextmanager
def lonely_notice() -> Iterator[threading.Event]:
    """Says so when the processes of an external launch do not meet; set the event when they have."""
    met, launch = threading.Event(), current()
    if launch.is_external:
        threading.Thread(target=_wait_aloud, args=(met, launch), daemon=True).start()
    try:
        yield met
    finally:
        met.set()


def _wait_aloud(met: threading.Event, launch: Launch) -> None:
    if not met.wait(_LONELY):
        sys.stderr.write(
            f"rank {launch.rank} waits for the other processes of {launch.starter} ({launch.world_size} in all) at "
            f"{launch.address}:{launch.port}. If there are none, unset the variables that say so "
            f"({'SLURM_NTASKS' if launch.starter == 'srun' else 'WORLD_SIZE'}).\n"
        )
        sys.stderr.flush()
