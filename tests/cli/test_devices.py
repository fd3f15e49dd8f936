"""Devices, machines, accelerators and strategies, checked against what is there and against the launcher."""

import os
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from lit_experiments.cli.devices import trainer_arguments
from lit_experiments.errors import UserError

OPTIONS = {"accelerator": "cpu", "num_nodes": 1, "strategy": "auto", "devices": 1, "precision": "32-true"}
CORES = len(os.sched_getaffinity(0))
LAUNCHED = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


def arguments(own_precision: bool = False, **changes: Any) -> dict[str, Any]:
    return trainer_arguments({**OPTIONS, **changes}, own_precision)


def refusal(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        arguments(**changes)
    return str(caught.value)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("value", [0, -2, "", "two", "0,1", [0, 1], 1.5, True, None, CORES + 1, str(CORES + 1)])
def test_devices_are_a_number_of_what_is_there(value: Any) -> None:
    assert refusal(devices=value).startswith("--devices ")


@pytest.mark.parametrize(("value", "count"), [(1, 1), ("1", 1), ("auto", 1), (-1, 1), ("-1", 1), (CORES, CORES)])
def test_devices_are_counted(value: Any, count: int) -> None:
    assert arguments(devices=value)["devices"] == count


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"num_nodes": 0}, ["--num_nodes", "at least 1", "0"]),
        ({"num_nodes": "two"}, ["--num_nodes", "'two'"]),
        ({"num_nodes": -1}, ["--num_nodes"]),
        ({"num_nodes": 2}, ["--num_nodes 2", "srun --nodes=2 --ntasks-per-node=1", "torchrun --nnodes=2"]),
        ({"accelerator": "cpuu"}, ["--accelerator", 'Did you mean "cpu"?']),
        ({"accelerator": "tpu"}, ["--accelerator tpu", "has no TPU"]),
        ({"accelerator": "mps"}, ["--accelerator mps", "has no MPS"]),
        ({"strategy": "dpp"}, ["--strategy", '"dpp"', 'Did you mean "ddp"?']),
        ({"strategy": "ddp_spawn"}, ["--strategy ddp_spawn", "--strategy auto"]),
        ({"strategy": "ddp_notebook"}, ["--strategy ddp_notebook"]),
    ],
)
def test_a_flag_that_cannot_be_is_refused_by_its_name(changes: dict[str, Any], parts: list[str]) -> None:
    message = refusal(**changes)
    for part in parts:
        assert part in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there(name: str) -> None:
    assert "has no GPU" in refusal(accelerator=name)


@pytest.mark.usefixtures("launched")
def test_a_launcher_and_devices_must_agree() -> None:
    assert "torchrun has started 2 processes" in refusal(devices=1)
    assert refusal(devices=1).endswith("Next: --devices 2")
    assert refusal(devices=1, num_nodes=3).endswith("Next: --devices 2")
    assert arguments(devices=2)["devices"] == 2
    assert arguments(devices="auto")["devices"] == 2
    assert arguments(devices=1, num_nodes=2)["num_nodes"] == 2


@pytest.mark.usefixtures("launched")
def test_only_the_first_process_words_a_mistake_that_all_have_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert refusal(devices=1) == ""


def test_lightning_takes_our_view_of_a_batch_script_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_NNODES": "2"}.items():
        monkeypatch.setenv(name, value)
    trainer = Trainer(**arguments(), logger=False, enable_checkpointing=False)
    assert trainer.world_size == 1
    assert trainer.global_rank == 0


def test_precision_goes_to_a_trainer_that_trains() -> None:
    assert arguments(own_precision=True)["precision"] == "32-true"
    assert "precision" not in arguments()
