"""Trainer flags from the command line, checked against the machine and against whoever started this process."""

from __future__ import annotations

import os
from typing import Any

from lit_experiments.cli.configs import nearest
from lit_experiments.errors import UserError
from lit_experiments.launch import Launch, current

_FLAGS = ("accelerator", "num_nodes", "strategy", "devices")
_ON_GPU = ("gpu", "cuda")
_STARTS_PROCESSES = ("spawn", "fork", "notebook")  # in the names of strategies that start processes themselves


def trainer_arguments(options: dict[str, Any], own_precision: bool = False) -> dict[str, Any]:
    """Arguments for `Trainer(...)`; what --trainer.KEY says wins over the flag of the same name, and is checked alike.

    The model is loaded in the dtype that --precision names, so in collection the Trainer itself stays at its default:
    its own half-precision plugin would also change the dtype of every tensor made in a step.

    Raises:
        UserError: more devices than there are, an accelerator or strategy that is not there, a number of processes
            that is not the launcher's.
    """
    given: dict[str, Any] = options["trainer"]
    if "precision" in given and not own_precision:
        raise UserError("--trainer.precision: the model's dtype is chosen with --precision.\nNext: --precision NAME")
    arguments = {key: options[key] for key in _FLAGS} | given
    if own_precision:
        arguments = {"precision": options["precision"], **arguments}
    names = {key: f"--trainer.{key}" if key in given else f"--{key}" for key in _FLAGS}
    check_accelerator(arguments["accelerator"], names["accelerator"])
    check_strategy(arguments["strategy"], names["strategy"])
    launch = current()
    arguments["devices"] = count_devices(arguments["devices"], arguments["accelerator"], launch, names["devices"])
    arguments["num_nodes"] = count_nodes(arguments["num_nodes"], names["num_nodes"])
    check_launch(arguments["devices"], arguments["num_nodes"], launch, names)
    return {**arguments, "plugins": _plugins(given.get("plugins"), launch)}


def check_accelerator(accelerator: Any, name: str) -> None:
    """Raises UserError for one that Lightning does not know or that this machine does not have."""
    if not isinstance(accelerator, str):  # an object of the user's own class
        return
    from lightning.pytorch.accelerators import AcceleratorRegistry

    known = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    if accelerator not in known:
        near = nearest(accelerator, known)
        raise UserError(f'{name}: there is no accelerator "{accelerator}".{near} Allowed: {", ".join(known)}.')
    kind = {"auto": "cpu", "gpu": "cuda"}.get(accelerator, accelerator)
    if not AcceleratorRegistry[kind]["accelerator"].is_available():
        what = "GPU" if accelerator in _ON_GPU else accelerator.upper()
        raise UserError(f"{name} {accelerator}: this machine has no {what} that PyTorch can use. Next: {name} cpu")


def check_strategy(strategy: Any, name: str) -> None:
    """Raises UserError for one that Lightning does not know, or that starts processes beside ours."""
    if not isinstance(strategy, str) or strategy == "auto":
        return
    from lightning.pytorch.strategies import StrategyRegistry

    known = ["auto", *sorted(s for s in StrategyRegistry if not any(part in s for part in _STARTS_PROCESSES))]
    if any(part in strategy for part in _STARTS_PROCESSES):
        raise UserError(f"{name} {strategy}: the processes are started by the command itself.\nNext: {name} auto")
    if strategy not in known:
        raise UserError(f'{name}: there is no strategy "{strategy}".{nearest(strategy, known)}\nNext: {name} auto')


def count_devices(devices: Any, accelerator: str, launch: Launch, name: str = "--devices") -> int:
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
        raise UserError(f'{name} must be a number from 1 to {there} ({kind}) or "auto", found {devices!r}.{which}')
    if count > there and not launch.is_external:
        raise UserError(f"{name} {count}: there are {there} {kind} here.\nNext: {name} {there}")
    return count


def count_nodes(nodes: Any, name: str = "--num_nodes") -> int:
    """How many machines. Raises UserError for what is no positive number."""
    count = _whole(nodes)
    if count < 1:
        raise UserError(f"{name} must be a number of machines, at least 1, found {nodes!r}.")
    return count


def check_launch(devices: int, nodes: int, launch: Launch, names: dict[str, str]) -> None:
    """Whether the processes that were started are those that were asked for.

    Raises:
        UserError: several machines without a launcher, or another number of processes than a launcher's. In all but
            the first process without words: they would only say the same.
    """
    if nodes > 1 and not launch.is_external:
        raise UserError(
            f"{names['num_nodes']} {nodes}: nothing has started this command on {nodes} machines.\nNext: in a job of "
            f"SLURM, put `srun --nodes={nodes} --ntasks-per-node={devices}` in front of the command; elsewhere run on "
            f"each machine `torchrun --nnodes={nodes} --nproc-per-node={devices} --rdzv-endpoint=HOST:PORT "
            f"-m -- lit_experiments.cli` with the same words."
        )
    if not launch.is_external or devices * nodes == launch.world_size:
        return
    machines = max(1, launch.world_size // launch.local_size)
    fix = f"{names['devices']} {launch.local_size}" + (f" {names['num_nodes']} {machines}" if machines > 1 else "")
    words = (
        f"{launch.starter} has started {launch.world_size} processes, but {names['devices']} {devices} and "
        f"{names['num_nodes']} {nodes} make {devices * nodes}.\nNext: {fix}"
    )
    raise UserError(words if launch.rank == 0 else "")


def _plugins(given: Any, launch: Launch) -> list[Any]:
    """The user's plugins and, unless a cluster environment of theirs is among them, ours."""
    from lightning.pytorch.plugins.environments import ClusterEnvironment

    from lit_experiments.collecting.environment import LaunchEnvironment

    own = list(given) if isinstance(given, list | tuple) else [given] if given else []
    if any(isinstance(plugin, ClusterEnvironment) for plugin in own):
        return own
    return [*own, LaunchEnvironment(launch)]


def _whole(value: Any) -> int:
    """A number as such or as its digits; 0 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else 0
