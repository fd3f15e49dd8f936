"""Who started this process, and which of how many it is. Reads environment variables; imports nothing heavy.

A run's processes are started by the command line itself (the usual case), by srun, or by torchrun and whatever speaks
its variables. Variables that a scheduler or an interactive shell leaves behind do not make a launch of several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

SUPERVISED = "LIT_SUPERVISED"  # set for the workers that the command line starts itself
PIPE_VARIABLE = "LIT_REPORT_FD"  # where such a worker tells its parent what it did, and why it ends
_LONGEST_REPORT = 3000  # characters of an error; a line in a pipe stays whole up to 4096 bytes
_SHELLS = ("bash", "sh", "zsh", "fish", "csh", "tcsh", "ksh")
_DEFAULT_PORT = 29500  # torch's own


class Launch(NamedTuple):
    """The place of this process among those that were started together.

    Attributes:
        starter: "" for a process on its own, "lit-experiments", "srun" or "torchrun".
        rank, world_size: among all processes.
        local_rank, local_size: among those of this machine.
        node_rank: number of this machine.
        address, port: where the processes meet.
    """

    starter: str = ""
    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_size: int = 1
    node_rank: int = 0
    address: str = "127.0.0.1"
    port: int = _DEFAULT_PORT

    @property
    def is_external(self) -> bool:
        """True when something else than the command line started several processes."""
        return self.starter in ("srun", "torchrun")


def current(env: Mapping[str, str] = os.environ) -> Launch:
    """The launch that the environment describes.

    One process alone is no launch, whoever started it: it may start workers of its own.
    """
    if SUPERVISED in env:
        return _from_torch(env, "lit-experiments")
    if _number(env, "WORLD_SIZE") > 1 and "RANK" in env and "LOCAL_RANK" in env:
        return _from_torch(env, "torchrun")
    return _from_slurm(env) if _is_srun_task(env) else Launch()


def is_main() -> bool:
    """True in the one process that talks to the user, owns the store's lock and says whether all is done."""
    launch = current()
    return launch.rank == 0 and launch.starter != "lit-experiments"


def is_rank_zero() -> bool:
    """True in the first of the processes that compute; it writes what all of them found."""
    return current().rank == 0


def is_worker() -> bool:
    """True in a process that is one of several, or was started as one: it starts none itself."""
    return current().starter != ""


def is_idle_slurm_allocation(env: Mapping[str, str] = os.environ) -> bool:
    """True in a batch script or shell of SLURM with several tasks where the command was not started by srun."""
    return _number(env, "SLURM_NTASKS") > 1 and not current(env).is_external


def report_end(code: int, message: str) -> bool:
    """Tells the parent of a worker why it ends; False in a process that nobody listens to."""
    if PIPE_VARIABLE not in os.environ:
        return False
    line = {"rank": current().rank, "code": code, "message": message[:_LONGEST_REPORT]}
    try:
        os.write(int(os.environ[PIPE_VARIABLE]), (json.dumps(line) + "\n").encode())
    except BrokenPipeError:  # the parent is gone
        return False
    return True


def _from_torch(env: Mapping[str, str], starter: str) -> Launch:
    """RANK, WORLD_SIZE, LOCAL_RANK and friends, as torchrun and `supervise` set them."""
    world_size, local_rank = _number(env, "WORLD_SIZE"), _number(env, "LOCAL_RANK")
    return Launch(
        starter=starter,
        rank=_number(env, "RANK"),
        world_size=world_size,
        local_rank=local_rank,
        local_size=_number(env, "LOCAL_WORLD_SIZE") or world_size,
        node_rank=_number(env, "GROUP_RANK") or _number(env, "NODE_RANK"),
        address=env.get("MASTER_ADDR") or "127.0.0.1",
        port=_number(env, "MASTER_PORT") or _DEFAULT_PORT,
    )


def _is_srun_task(env: Mapping[str, str]) -> bool:
    """True in one of several tasks of a job step.

    A batch script has SLURM_NTASKS and SLURM_PROCID=0 too, but no step. `srun --pty bash` is a step, whose first task
    is a shell with a terminal: what is typed there is on its own.
    """
    if _slurm_tasks(env) < 2 or "SLURM_PROCID" not in env:
        return False
    in_step = any(name in env for name in ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS"))
    is_shell = "SLURM_PTY_PORT" in env or env.get("SLURM_JOB_NAME") in _SHELLS
    return _number(env, "SLURM_PROCID") > 0 or (in_step and not is_shell)


def _slurm_tasks(env: Mapping[str, str]) -> int:
    return _number(env, "SLURM_STEP_NUM_TASKS") or _number(env, "SLURM_NTASKS")


def _from_slurm(env: Mapping[str, str]) -> Launch:
    world_size = _slurm_tasks(env)
    nodes = _number(env, "SLURM_STEP_NUM_NODES") or _number(env, "SLURM_NNODES") or 1
    # Every task must come to the same port, and two steps of a job to different ones.
    port = 15000 + (31 * _number(env, "SLURM_JOB_ID") + _number(env, "SLURM_STEP_ID")) % 10000
    return Launch(
        starter="srun",
        rank=_number(env, "SLURM_PROCID"),
        world_size=world_size,
        local_rank=_number(env, "SLURM_LOCALID"),
        local_size=max(1, world_size // nodes),
        node_rank=_number(env, "SLURM_NODEID"),
        address=env.get("MASTER_ADDR") or (_first_node(env) if nodes > 1 else "127.0.0.1"),
        port=_number(env, "MASTER_PORT") or port,
    )


def _first_node(env: Mapping[str, str]) -> str:
    """The first of "a7,b[3-5,9]" and the like: "a7"; of "b[03-05]" it is "b03"."""
    nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST") or env.get("SLURM_NODELIST") or "127.0.0.1"
    head, bracket, rest = nodes.partition("[")
    if "," in head or not bracket:
        return head.split(",")[0]
    numbers, _, tail = rest.partition("]")
    return head + numbers.split(",")[0].split("-")[0] + tail.split(",")[0]


def _number(env: Mapping[str, str], name: str) -> int:
    """The variable as a number, 0 where it is absent or none."""
    value = env.get(name, "")
    return int(value) if value.isdecimal() else 0
