"""Worker processes: whichever fails ends the run and is named, none is left behind, a signal ends all in good order."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.forked_workers import ForkedProcess
from benchmarks.process_tree import is_running
from lit_experiments.collecting.crew import Crew
from lit_experiments.collecting.processes import supervise
from lit_experiments.errors import EXIT_STOPPED, EXIT_USER, RunFailed, Stopped, UserError
from tests.collecting.conftest import ROOT, Launcher

# A worker that works until it is told to stop; tells of itself by a file. What it does first differs by rank.
WORKER = """
import os, sys, time
from pathlib import Path
from lit_experiments.launch import report_end
from lit_experiments.signals import StopNow, stop_signal

rank = os.environ["RANK"]
try:
    with stop_signal() as stop:
        stop.raise_at_once()
        Path(f"started-{rank}").write_text(str(os.getpid()))
        while len(list(Path().glob("started-*"))) < 2:
            time.sleep(0.01)
        %s
        time.sleep(600)
except StopNow:
    Path(f"stopped-{rank}").touch()
    report_end(75, stop.words)
    sys.exit(75)
"""
FAIL = 'if rank == "{rank}": report_end({code}, "the disk is full"); sys.exit({code})'


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _supervised(first: str) -> None:
    supervise([sys.executable, "-c", WORKER % first], {"devices": 2, "accelerator": "cpu"}, (), None)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_of_any_rank_that_fails_ends_the_run_and_is_named(rank: int, tmp_path: Path) -> None:
    """The other one would have worked for ten minutes."""
    with pytest.raises(RunFailed, match=f"rank {rank} of 2: the disk is full"):
        _supervised(FAIL.format(rank=rank, code=1))
    assert (tmp_path / f"stopped-{1 - rank}").exists(), "the other worker was not asked to stop"


def test_a_mistake_of_the_user_s_that_a_worker_finds_is_still_one() -> None:
    with pytest.raises(UserError, match=r"^the disk is full$"):
        _supervised(FAIL.format(rank=1, code=EXIT_USER))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_is_killed_is_named_with_its_signal(rank: int, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=f"rank {rank} of 2 was killed by SIGKILL"):
        _supervised(f'if rank == "{rank}": os.kill(os.getpid(), 9)')
    assert (tmp_path / f"stopped-{1 - rank}").exists()


def test_a_worker_that_says_nothing_is_not_taken_for_done() -> None:
    with pytest.raises(RunFailed, match="rank 1 of 2 ended with code 3 and said nothing"):
        _supervised('if rank == "1": os._exit(3)')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_worker_stops_the_run(number: int) -> None:
    with pytest.raises(Stopped, match=f"rank 1 of 2 was stopped by {signal.Signals(number).name}"):
        _supervised(f'if rank == "1": os.kill(os.getpid(), {number})')


def test_a_worker_that_fails_because_another_one_stopped_is_no_failure() -> None:
    follow = 'if rank == "1": os.kill(os.getpid(), 15)\n        '
    follow += 'while not os.path.exists("stopped-1"): time.sleep(0.01)\n        '
    follow += 'time.sleep(0.1); report_end(1, "Connection closed by peer"); os._exit(1)'
    with pytest.raises(Stopped, match="rank 1 of 2"):
        _supervised(follow)


def test_it_is_none_either_while_the_stopped_one_has_not_said_so_yet() -> None:
    """Closing its connections is the first thing that it does, and on a busy machine its last word comes late."""
    follow = 'if rank == "1":\n            try: os.kill(os.getpid(), 15)\n            '
    follow += 'finally: Path("closed").touch(); time.sleep(1)\n        '
    follow += 'while not os.path.exists("closed"): time.sleep(0.01)\n        '
    follow += 'report_end(1, "Connection closed by peer"); os._exit(1)'
    with pytest.raises(Stopped, match="rank 1 of 2 was stopped by SIGTERM"):
        _supervised(follow)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_failure_is_noticed_whatever_still_runs(order: Sequence[int]) -> None:
    slow, failing = "import time; time.sleep(600)", "import sys; sys.exit(3)"
    crew = Crew()
    crew.take_signals()
    try:
        for i in order:
            crew.start([sys.executable, "-S", "-c", (slow, failing)[i]], dict(os.environ), ())
        assert crew.wait() == 3
    finally:
        crew.give_back_signals()


PARENT = """
import sys
from lit_experiments.cli.main import _answered
from lit_experiments.collecting.processes import supervise
from lit_experiments.signals import stop_signal
with stop_signal() as stop:
    try:
        supervise([sys.executable, "-c", sys.argv[1]], {"devices": 2, "accelerator": "cpu"}, (), None)
    except Exception as error:
        sys.exit(_answered(error, stop))
"""
# A worker in an endless loop of C, but for a note of what it did not do.
STUBBORN = """stop.__exit__(); import signal
        signal.signal(15, lambda *_: Path(f"refused-{rank}").touch())
        Path(f"stubborn-{rank}").touch()"""


def _parent(launcher: Launcher, tmp_path: Path, first: str) -> tuple[ForkedProcess, list[int]]:
    """A process that supervises two workers, which have started; and their pids. Its words go to log.txt."""
    (tmp_path / "parent.py").write_text(PARENT)
    parent = launcher.server.start([str(tmp_path / "parent.py"), WORKER % first], tmp_path)
    _until(lambda: len([p for p in tmp_path.glob("started-*") if p.read_text()]) == 2)
    return parent, [int((tmp_path / f"started-{rank}").read_text()) for rank in (0, 1)]


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_workers_whose_parent_is_killed_end_themselves(launcher: Launcher, tmp_path: Path) -> None:
    parent, workers = _parent(launcher, tmp_path, "pass")
    parent.send_signal(signal.SIGKILL)
    assert parent.wait() == -signal.SIGKILL
    _until(lambda: not any(is_running(pid) for pid in workers))
    assert (tmp_path / "stopped-0").exists()
    assert (tmp_path / "stopped-1").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_stops_all(launcher: Launcher, tmp_path: Path, number: int) -> None:
    parent, workers = _parent(launcher, tmp_path, "pass")
    parent.send_signal(number)
    assert parent.wait() == EXIT_STOPPED
    assert (tmp_path / "log.txt").read_text() == (
        f"stopped: by {signal.Signals(number).name}. Everything complete is committed; "
        "the same command goes on from here.\n"
    )
    assert not any(is_running(pid) for pid in workers)


def test_a_second_ctrl_c_ends_workers_that_do_not_stop(launcher: Launcher, tmp_path: Path) -> None:
    parent, workers = _parent(launcher, tmp_path, STUBBORN)
    _until(lambda: len(list(tmp_path.glob("stubborn-*"))) == 2)
    parent.send_signal(signal.SIGINT)
    _until(lambda: len(list(tmp_path.glob("refused-*"))) == 2)  # two signals that come at once are one
    time.sleep(0.5)
    assert parent.poll() is None
    parent.send_signal(signal.SIGINT)
    assert parent.wait() == EXIT_STOPPED
    assert not any(is_running(pid) for pid in workers)
