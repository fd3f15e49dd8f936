"""Which process of how many: real launches are taken as such, and what shells and schedulers leave behind is not."""

import pytest

from lit_experiments.launch import Launch, current, is_idle_slurm_allocation

TASK = {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_JOB_NAME": "collect"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1"}


@pytest.mark.parametrize(
    "env",
    [
        {},
        # srun --pty bash; the same with several tasks, of which the shell is the first
        {
            **TASK,
            **STEP,
            "SLURM_NTASKS": "1",
            "SLURM_STEP_NUM_TASKS": "1",
            "SLURM_PROCID": "0",
            "SLURM_JOB_NAME": "bash",
        },
        {**TASK, **STEP, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NAME": "zsh"},
        {**TASK, **STEP, "SLURM_PROCID": "0", "SLURM_JOB_NAME": "interactive", "SLURM_PTY_PORT": "40123"},
        # a shell that names its job but whose step left no trace
        {
            "SLURM_JOB_ID": "77",
            "SLURM_NTASKS": "1",
            "SLURM_JOB_NAME": "bash",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
        },
        # a batch script with two tasks and no srun; salloc, where no process has a number
        {**TASK, "SLURM_PROCID": "0", "SLURM_NTASKS": "2"},
        {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_JOB_NAME": "interactive"},
        # torchrun --nproc-per-node 1, and parts of its variables
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"},
        {"LOCAL_RANK": "1"},
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "pytorch-job-master-0", "MASTER_PORT": "23456"},
        {"RANK": "", "WORLD_SIZE": "two", "LOCAL_RANK": "0"},
        # MPI and LSF
        {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "PMI_RANK": "1"},
        {"LSB_JOBID": "9", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_SIZE": "2", "JSM_NAMESPACE_RANK": "1"},
    ],
)
def test_a_process_on_its_own_is_one_whatever_its_environment_holds(env: dict[str, str]) -> None:
    assert current(env) == Launch()


def test_srun_over_two_machines() -> None:
    launch = current({**TASK, **STEP, "SLURM_STEP_NODELIST": "gpu[07-09,12]"})
    assert launch[:6] == ("srun", 3, 4, 1, 2, 1)
    assert launch.address == "gpu07"
    assert launch.port == current({**TASK, **STEP, "SLURM_PROCID": "0"}).port, "every task comes to the same port"
    assert launch.port != current({**TASK, **STEP, "SLURM_STEP_ID": "1"}).port, "two steps come to different ones"


@pytest.mark.parametrize(
    ("nodes", "first"), [("a7", "a7"), ("a7,b[3-5]", "a7"), ("b[3,5]", "b3"), ("r[01-02]n", "r01n"), ("x[1-2],y", "x1")]
)
def test_the_first_machine_of_a_list(nodes: str, first: str) -> None:
    assert current({**TASK, **STEP, "SLURM_NODELIST": nodes}).address == first


def test_srun_on_one_machine_meets_there_whatever_it_is_called() -> None:
    step = {"SLURM_STEP_ID": "2", "SLURM_NODELIST": "no-such-name"}
    for rank in ("0", "1"):
        launch = current({**TASK, **step, "SLURM_NTASKS": "2", "SLURM_PROCID": rank, "SLURM_LOCALID": rank})
        assert (launch.starter, launch.rank, launch.local_size) == ("srun", int(rank), 2)
        assert launch.address == "127.0.0.1"


def test_torchrun_comes_before_what_slurm_left() -> None:
    env = {**TASK, **STEP, **TORCHRUN, "MASTER_ADDR": "gpu1", "MASTER_PORT": "29511"}
    assert current(env) == Launch("torchrun", 3, 4, 1, 2, 1, "gpu1", 29511)


def test_the_command_line_s_own_workers_come_before_all_others() -> None:
    env = {**TASK, **STEP, "LIT_SUPERVISED": "1", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
    assert current(env)[:4] == ("lit-experiments", 1, 2, 1)


def test_an_allocation_that_is_not_used_is_noticed() -> None:
    assert is_idle_slurm_allocation({**TASK, "SLURM_PROCID": "0"})
    assert not is_idle_slurm_allocation({**TASK, **STEP})
    assert not is_idle_slurm_allocation({"SLURM_NTASKS": "1"})
    assert not is_idle_slurm_allocation({})
