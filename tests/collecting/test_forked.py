"""A forked child ends, stops and cleans up as a process that was started does, and leaves its parent's things alone."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.process_tree import is_running
from lit_experiments.collecting.forked import import_once
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED
from tests.collecting.conftest import ROOT

PARENT = """
import atexit, os, sys, tempfile, threading, time
from pathlib import Path
from lit_experiments.cli import pipeline_children
from lit_experiments.cli.pipeline_children import PipelineChildren
from lit_experiments.collecting.crew import run_one
from lit_experiments.signals import StopNow, stop_signal

pipeline_children.IMPORTED = ()  # which takes seconds

def run_forked(action):
    return run_one(lambda crew: crew.fork(action, dict(os.environ)))

def work():  # as a command does: until it is told to stop
    try:
        with stop_signal() as stop:
            stop.raise_at_once()
            Path("child").write_text(str(os.getpid()))
            time.sleep(600)
    except StopNow:
        Path("stopped").write_text(stop.name)
        os._exit(75)

def console(words):
    print("forked:", *words, sys.argv[1:] == words, flush=True)
    sys.exit(3)

%s
"""


def _start(program: str, folder: Path) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PARENT % program]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=pipe, stderr=pipe, start_new_session=True)


def _run(program: str, folder: Path) -> tuple[int, str, str]:
    process = _start(program, folder)
    out, err = process.communicate()
    return process.returncode, out, err


def _child(folder: Path) -> int:
    """Process id of the child, once it works."""
    deadline = time.monotonic() + 60
    while not (folder / "child").exists() or not (folder / "child").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int((folder / "child").read_text())


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("None", EXIT_DONE),
        ("sys.exit(2)", 2),
        ("sys.exit()", EXIT_DONE),
        ("1 / 0", EXIT_FAILED),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", 137),
    ],
)
def test_its_code_is_that_of_an_interpreter_of_its_own(action: str, code: int, tmp_path: Path) -> None:
    ended, out, err = _run(f"code = run_forked(lambda: {action}); print('after'); sys.exit(code)", tmp_path)
    assert (ended, out) == (code, "after\n"), "the child went on with its parent's work"
    assert ("ZeroDivisionError" in err) == ("/" in action)


def test_what_waits_to_be_written_comes_once_and_what_is_to_be_cleaned_up_is(tmp_path: Path) -> None:
    program = (
        "folder = tempfile.TemporaryDirectory()\n"
        "print('before')\n"
        "def child():\n"
        "    atexit.register(print, 'clean-up')\n"
        "    late = threading.Thread(target=lambda: (time.sleep(0.2), print('late')))\n"
        "    late.start()\n"
        "    child.folder = tempfile.TemporaryDirectory(dir='.')\n"
        "    print('child', os.getsid(0) == os.getpid())\n"
        "run_forked(child)\n"
        "print(Path(folder.name).is_dir(), list(Path().glob('tmp*')))\n"
    )
    assert _run(program, tmp_path) == (0, "before\nchild True\nlate\nclean-up\nTrue []\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to", ["parent", "child"])
def test_a_signal_to_either_stops_both(number: signal.Signals, to: str, tmp_path: Path) -> None:
    process = _start("sys.exit(run_forked(work))", tmp_path)
    child = _child(tmp_path)
    os.kill(child if to == "child" else process.pid, number)
    _, err = process.communicate()
    assert (process.returncode, err) == (EXIT_STOPPED, "")
    assert (tmp_path / "stopped").read_text() == ("SIGTERM" if to == "parent" else number.name)


def test_it_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    process = _start("run_forked(work)", tmp_path)
    child = _child(tmp_path)
    process.kill()
    process.communicate()
    while is_running(child):
        time.sleep(0.01)
    assert (tmp_path / "stopped").read_text() == "the end of its parent process"


CHILDREN = """
with stop_signal():  # as a command does before anything else; it has a thread of its own
    children = PipelineChildren({console})
    {then}
    print(children.run(['--version']))
"""


@pytest.mark.parametrize(
    ("console", "then", "forks"),
    [
        ("console", "", True),
        ("None", "", False),
        ("console", "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()", False),
    ],
)
def test_a_step_is_forked_by_a_process_that_has_only_imported(
    console: str, then: str, forks: bool, tmp_path: Path
) -> None:
    code, out, _ = _run(CHILDREN.format(console=console, then=then), tmp_path)
    assert code == EXIT_DONE
    if forks:
        assert out == "forked: --version True\n3\n"
    else:
        assert out.startswith("lit-experiments ")
        assert out.endswith("\n0\n")


def test_imports_for_children_are_left_alone_and_garbage_is_looked_for_again() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_once(["no_such_module"])
    assert gc.isenabled()
    before = gc.get_freeze_count()
    fresh = [[] for _ in range(100)]
    import_once(["json"])
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(fresh)
