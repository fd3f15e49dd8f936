"""Processes that srun or torchrun start: stand-ins with the variables that these set, two processes on one machine."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.forked_workers import ForkedProcess
from benchmarks.free_port import free_port
from benchmarks.halting import halted_at
from lit_experiments.collecting import data, run
from lit_experiments.collecting.plan import Batch, share
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, EXIT_USER, RunFailed
from lit_experiments.launch import Launch
from lit_experiments.lm.spec import ModelSpec
from tests.collecting.conftest import Launcher, assert_same, content
from tests.collecting.test_run import States, settings
from tests.toys import random_llama

STARTERS = ["srun", "torchrun"]


def launched(starter: str, rank: int, port: int) -> dict[str, str]:
    meeting = {"MASTER_PORT": str(port)}
    if starter == "torchrun":
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    else:
        place = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NTASKS": 2, "SLURM_STEP_ID": 0, "SLURM_NODEID": 0}
        meeting |= {"SLURM_JOB_ID": "4711", "SLURM_NODELIST": "no-such-name", "SLURM_JOB_NAME": "collect"}
    return meeting | {name: str(value) for name, value in place.items()}


def _launch(
    launcher: Launcher, folder: Path, starter: str, argv: list[str], env: dict[str, str] | None = None
) -> list[ForkedProcess]:
    """Two processes; what each says goes to its own folder. env: further environment variables of the second one."""
    port = free_port()
    for rank in (0, 1):
        (folder / f"rank-{rank}").mkdir(exist_ok=True)
    return [
        launcher.server.start(argv, folder / f"rank-{rank}", launched(starter, rank, port) | further)
        for rank, further in enumerate(({}, env or {}))
    ]


def _log(folder: Path, rank: int) -> str:
    return (folder / f"rank-{rank}" / "log.txt").read_text()


@pytest.mark.parametrize("starter", STARTERS)
def test_two_processes_collect_and_the_first_one_speaks(
    launcher: Launcher, toy: list[str], undisturbed: tuple[Path, float], tmp_path: Path, starter: str
) -> None:
    argv = [*toy, "--run", str(tmp_path / "run"), "--devices", "2"]
    assert [p.wait() for p in _launch(launcher, tmp_path, starter, argv)] == [EXIT_DONE, EXIT_DONE]
    assert_same(content(tmp_path / "run"), content(undisturbed[0]))
    assert "40 rows in " in _log(tmp_path, 0)
    assert _log(tmp_path, 1) == ""
    # Nothing is left to do: they meet all the same, and none waits for ever.
    assert [p.wait() for p in _launch(launcher, tmp_path, starter, argv)] == [EXIT_DONE, EXIT_DONE]


SHELL = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_STEP_ID": "0"}
BATCH = {"SLURM_JOB_ID": "78", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NNODES": "2"}
KUBEFLOW = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"}
AGENT = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "x", "MASTER_PORT": "1"}
UNUSED = "SLURM gave several tasks, but srun did not start this command"


@pytest.mark.parametrize(
    ("env", "devices"),
    [
        ({**SHELL, "SLURM_JOB_NAME": "bash"}, 1),
        (BATCH, 1),
        (KUBEFLOW, 1),
        pytest.param(BATCH, 2, marks=pytest.mark.slow),
        pytest.param({**AGENT, "TORCHELASTIC_USE_AGENT_STORE": "True"}, 2, marks=pytest.mark.slow),
    ],
)
def test_a_command_in_a_shell_or_a_batch_script_runs_as_anywhere_else(
    launcher: Launcher,
    toy: list[str],
    undisturbed: tuple[Path, float],
    tmp_path: Path,
    env: dict[str, str],
    devices: int,
) -> None:
    argv = [*toy, "--run", str(tmp_path / "run"), "--devices", str(devices)]
    assert launcher.server.start(argv, tmp_path, env).wait() == EXIT_DONE
    assert_same(content(tmp_path / "run"), content(undisturbed[0]))
    assert (UNUSED in (tmp_path / "log.txt").read_text()) == (env is BATCH)


@pytest.mark.parametrize("starter", STARTERS)
def test_two_processes_train_as_one_does(
    launcher: Launcher, undisturbed: tuple[Path, float], tmp_path: Path, starter: str
) -> None:
    """Their blocks are few here, so that even the sums are the same."""
    (tmp_path / "store").symlink_to(undisturbed[0] / "store")
    options = ["train", "--exp", "tempnorm_ridge", "--accelerator", "cpu", "--folds", "2", "--bootstraps", "50"]
    argv = [*options, "--run", str(tmp_path), "--devices", "2"]
    assert [p.wait() for p in _launch(launcher, tmp_path, starter, argv)] == [EXIT_DONE, EXIT_DONE]
    two = json.loads((tmp_path / "tempnorm_ridge" / "metrics.json").read_text())
    assert launcher.run([*options, "--run", str(tmp_path), "--restart"]) == EXIT_DONE
    assert json.loads((tmp_path / "tempnorm_ridge" / "metrics.json").read_text()) == two
    # Up to date for both: the second one does not wait for the first.
    assert [p.wait() for p in _launch(launcher, tmp_path, starter, argv)] == [EXIT_DONE, EXIT_DONE]


@pytest.mark.parametrize("starter", STARTERS)
def test_another_number_of_devices_is_one_mistake(
    launcher: Launcher, toy: list[str], tmp_path: Path, starter: str
) -> None:
    argv = [*toy, "--run", str(tmp_path / "run")]
    assert [p.wait() for p in _launch(launcher, tmp_path, starter, argv)] == [EXIT_USER, EXIT_USER]
    assert _log(tmp_path, 0).endswith("make 1.\nNext: --devices 2\n")
    assert _log(tmp_path, 1) == ""
    assert not (tmp_path / "run").exists()


def test_a_pipeline_is_not_started_twice(launcher: Launcher, tmp_path: Path) -> None:
    argv = ["run", "tempnorm", "--run", str(tmp_path / "run")]
    assert [p.wait() for p in _launch(launcher, tmp_path, "torchrun", argv)] == [EXIT_USER, EXIT_USER]
    assert "Next: lit-experiments run tempnorm --devices 2" in _log(tmp_path, 0)
    assert _log(tmp_path, 1) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_first_process_does_not_take_the_run_for_complete_when_another_one_ended(
    launcher: Launcher, toy: list[str], undisturbed: tuple[Path, float], tmp_path: Path, number: int
) -> None:
    argv = [*toy, "--run", str(tmp_path / "run"), "--devices", "2"]
    halted = halted_at(tmp_path / "run/store/parts/*-r001/rows-*.parquet", tmp_path / "go on")
    first, second = _launch(launcher, tmp_path, "torchrun", argv, halted)
    while not list(tmp_path.glob("run/store/parts/*-r001/rows-*.parquet")):
        time.sleep(0.002)
    os.kill(second.pid, number)
    (tmp_path / "go on").touch()
    assert second.wait() in (-number, EXIT_STOPPED)
    assert first.wait() == EXIT_FAILED
    assert "failed: another process of this launch ended" in _log(tmp_path, 0)
    assert "Traceback" not in _log(tmp_path, 0)
    assert [p.wait() for p in _launch(launcher, tmp_path, "srun", argv)] == [EXIT_DONE, EXIT_DONE]
    assert_same(content(tmp_path / "run"), content(undisturbed[0]))


@pytest.mark.parametrize("launch", [Launch(), Launch("torchrun"), Launch("srun")])
def test_rows_that_nobody_wrote_are_noticed_however_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launch: Launch
) -> None:
    def lossy(batches: list[Batch], rank: int, world_size: int) -> list[Batch]:
        return share(batches, rank, world_size)[:-1]

    monkeypatch.setattr(data, "share", lossy)
    monkeypatch.setattr(run, "current", lambda: launch)
    spec = ModelSpec(str(random_llama(tmp_path / "model", seed=1)), None, None, "float32", "auto")
    with pytest.raises(RunFailed, match="6 of 12 samples have no row"):
        run.collect(States(spec), settings(tmp_path / "run"))
