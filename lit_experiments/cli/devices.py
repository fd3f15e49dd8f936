"""Trainer flags from the command line, checked against the machine."""

from __future__ import annotations

import os
from typing import Any

from lit_experiments.errors import UserError

_FLAGS = ("accelerator", "num_nodes", "strategy")


def trainer_arguments(options: dict[str, Any], own_precision: bool = False) -> dict[str, Any]:
    """Arguments for `Trainer(...)`.

    The model is loaded in the dtype that --precision names, so in collection the Trainer itself stays at its default:
    its own half-precision plugin would also change the dtype of every tensor made in a step.

    Raises:
        UserError: more devices than there are, or an accelerator that is not there.
    """
    arguments = {key: options[key] for key in _FLAGS}
    arguments["devices"] = count_devices(options["devices"], options["accelerator"])
    if own_precision:
        arguments["precision"] = options["precision"]
    return {**arguments, **options["trainer"]}


def count_devices(devices: int | str, accelerator: str) -> int:
    """How many devices to use; on the CPU a device is a process, at most one per core.

    Raises:
        UserError: not a positive number, no such accelerator, more than there are.
    """
    import torch

    gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and gpus == 0:
        raise UserError("--accelerator gpu: this machine has no GPU that PyTorch can use. Next: --accelerator cpu")
    on_gpu = accelerator in ("gpu", "cuda", "auto") and gpus > 0
    there = gpus if on_gpu else len(os.sched_getaffinity(0))
    if devices in ("auto", -1, "-1"):
        return gpus if on_gpu else 1
    try:
        count = int(devices)
    except ValueError:
        count = 0
    kind = "GPUs" if on_gpu else "CPU cores"
    if count < 1:
        raise UserError(f'--devices must be a number from 1 to {there} ({kind}) or "auto", found {devices!r}.')
    if count > there:
        raise UserError(f"--devices {count}: there are {there} {kind} here.\nNext: --devices {there}")
    return count
