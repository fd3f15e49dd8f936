"""Trainer flags from the command line, checked against the machine and against whoever started this process."""

from __future__ import annotations

import os
from typing import Any

from lit_experiments.cli.configs import nearest
from lit_experiments.errors import UserError
from lit_experiments.launch import Launch, current

_ON_GPU = ("gpu", "cuda")
_STARTS_PROCESSES = ("spawn", "fork", "notebook")  # in the names of strategies that start processes themselves


def trainer_arguments(options: dict[str, Any], own_precision: bool = False) -> dict[str, Any]:
    """Arguments for `Trainer(...)`.

    The model is loaded in the dtype that --precision names, so in collection the Trainer itself stays at its default:
    its own half-precision plugin would also change the dtype of every tensor made in a step.

    Raises:
        UserError: more devices than there are, an accelerator or strategy that is not there, a number of processes
            that is not the launcher's.
    """
    from lit_experiments.collecting.environment import LaunchEnvironment

    check_accelerator(options["accelerator"])
    check_strategy(options["strategy"])
    launch = current()
    devices = count_devices(options["devices"], options["accelerator"], launch)
    nodes = count_nodes(options["num_nodes"])
    check_launch(devices, nodes, launch)
    arguments = {"accelerator": options["accelerator"], "strategy": options["strategy"]}
    arguments |= {"devices": devices, "num_nodes": nodes, "plugins": [LaunchEnvironment(launch)]}
    return arguments | ({"precision": options["precision"]} if own_precision else {})


def check_accelerator(accelerator: str) -> None:
    """Raises UserError for one that Lightning does not know or that this machine does not have."""
    from lightning.pytorch.accelerators import AcceleratorRegistry

    known = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    if accelerator not in known:
        near = nearest(accelerator, known)
        raise UserError(f'--accelerator: there is no accelerator "{accelerator}".{near} Allowed: {", ".join(known)}.')
    kind = {"auto": "cpu", "gpu": "cuda"}.get(accelerator, accelerator)
    if not AcceleratorRegistry[kind]["accelerator"].is_available():
        what = "GPU" if accelerator in _ON_GPU else accelerator.upper()
        raise UserError(
            f"--accelerator {accelerator}: this machine has no {what} that PyTorch can use. Next: --accelerator cpu"
        )


def check_strategy(strategy: str) -> None:
    """Raises UserError for one that Lightning does not know, or that starts processes next to ours."""
    if strategy == "auto":
        return
    from lightning.pytorch.strategies import StrategyRegistry

    known = ["auto", *sorted(s for s in StrategyRegistry if not any(part in s for part in _STARTS_PROCESSES))]
    if any(part in strategy for part in _STARTS_PROCESSES):
        raise UserError(
            f"--strategy {strategy}: the processes are started by the command itself.\nNext: --strategy auto"
        )
    if strategy not in known:
        raise UserError(
            f'--strategy: there is no strategy "{strategy}".{nearest(strategy, known)}\nNext: --strategy auto'
        )


def count_devices(devices: Any, accelerator: str, launch: Launch) -> int:
    """How many devices to use here; on the CPU a device is a process, at most one per core.

    A launcher has placed its processes already: "auto" is their number, and none of them sees all cores.

    Raises:
        UserError: not a positive number, more than there are.
    """
    import torch

    gpus = torch.cuda.device_count()
    on_gpu = accelerator in (*_ON_GPU, "auto") and gpus > 0
    there = gpus if on_gpu else len(os.sched_getaffinity(0))
    if devices in ("auto", -1, "-1") and not isinstance(devices, bool):
        return launch.local_size if launch.is_external else gpus if on_gpu else 1
    count = _whole(devices)
    kind = "GPUs" if on_gpu else "CPU cores"
    if count < 1:
        which = "\nNext: CUDA_VISIBLE_DEVICES=0,1 in front of the command chooses which." if on_gpu else ""
        raise UserError(f'--devices must be a number from 1 to {there} ({kind}) or "auto", found {devices!r}.{which}')
    if count > there and not launch.is_external:
        raise UserError(f"--devices {count}: there are {there} {kind} here.\nNext: --devices {there}")
    return count


def count_nodes(nodes: Any) -> int:
    """How many machines. Raises UserError for what is no positive number."""
    count = _whole(nodes)
    if count < 1:
        raise UserError(f"--num_nodes must be a number of machines, at least 1, found {nodes!r}.")
    return count


def check_launch(devices: int, nodes: int, launch: Launch) -> None:
    """Whether the processes that were started are those that were asked for.

    Raises:
        UserError: several machines without a launcher, or another number of processes than a launcher's. In all but
            the first process without words: they would only say the same.
    """
    if nodes > 1 and not launch.is_external:
        raise UserError(
            f"--num_nodes {nodes}: nothing has started this command on {nodes} machines.\nNext: in a job of "
            f"SLURM, put `srun --nodes={nodes} --ntasks-per-node={devices}` in front of the command; elsewhere run on "
            f"each machine `torchrun --nnodes={nodes} --nproc-per-node={devices} --rdzv-endpoint=HOST:PORT "
            f"-m -- lit_experiments.cli` with the same words."
        )
    if not launch.is_external or devices * nodes == launch.world_size:
        return
    machines = max(1, launch.world_size // launch.local_size)
    fix = f"--devices {launch.local_size}" + (f" --num_nodes {machines}" if machines > 1 else "")
    words = (
        f"{launch.starter} has started {launch.world_size} processes, but --devices {devices} and "
        f"--num_nodes {nodes} make {devices * nodes}.\nNext: {fix}"
    )
    raise UserError(words if launch.rank == 0 else "")


def _whole(value: Any) -> int:
    """A number as such or as its digits; 0 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else 0
