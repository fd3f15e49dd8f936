"""Steps of a pipeline side by side: what waits for what, whose words come first, what a failure or a signal stops."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lit_experiments.cli.pipeline_commands import Given, given_to, grouped, plan
from lit_experiments.cli.pipeline_file import read_pipeline
from lit_experiments.cli.pipeline_run import jobs_at_once, ready
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, UserError

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys, time
from pathlib import Path
from lit_experiments.cli import pipeline_children
from lit_experiments.cli.pipeline_children import PipelineChildren
from lit_experiments.cli.pipeline_commands import Planned
from lit_experiments.cli.pipeline_file import Step
from lit_experiments.cli.pipeline_run import run_steps
from lit_experiments.signals import StopNow, stop_signal

pipeline_children.IMPORTED = ()  # which takes seconds

def until(name):
    while not Path(name).exists():
        time.sleep(0.01)

def console(words):
    name, *deeds = words
    try:
        with stop_signal() as stop:
            stop.raise_at_once()
            print(name, "begins", flush=True)
            for deed in deeds:
                exec(deed)
            Path(name).touch()
            print(name, "says", file=sys.stderr, flush=True)
    except StopNow:
        print(name, "stopped", flush=True)
        sys.exit(75)
    sys.exit(0)

def step(name, lane, *deeds):
    command = None if deeds == ("left out",) else [name, *deeds]
    return Planned(Step("analyze", name, "{run}", {}, ("adapter",), 1, name, lane), name, command, ())

steps = [%s]
with stop_signal():
    code, failed = run_steps(steps, PipelineChildren(console), %d)
print(code, None if failed is None else failed.step.name)
"""


def start(folder: Path, steps: str, jobs: int, stderr: int = subprocess.STDOUT) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM % (steps, jobs)]
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=stderr)


def words_of(folder: Path, steps: str, jobs: int) -> list[str]:
    return start(folder, steps, jobs).communicate()[0].splitlines()


def title(place: int, of: int, name: str) -> str:
    return f"[{place}/{of}] step 1 {name}: analyze"


@pytest.mark.parametrize(
    ("lanes", "done", "started", "expected"),
    [
        (["a", "a", "b", "b", None, "a"], set(), set(), [0, 2]),
        (["a", "a", "b", "b", None, "a"], {0}, {0, 2}, [1]),
        (["a", "a", "b", "b", None, "a"], {0, 1, 2}, {0, 1, 2, 3}, []),  # the fourth has not ended
        (["a", "a", "b", "b", None, "a"], {0, 1, 2, 3}, {0, 1, 2, 3}, [4]),
        (["a", "a", "b", "b", None, "a"], {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, [5]),
        ([None, None, None], set(), set(), [0]),
        ([None, "a", "b"], set(), {0}, []),
    ],
)
def test_a_step_waits_for_its_lane_and_for_those_without_one(
    lanes: list[str | None], done: set[int], started: set[int], expected: list[int]
) -> None:
    assert ready(lanes, done, started) == expected


def test_lanes_run_side_by_side_and_their_words_come_in_order(tmp_path: Path) -> None:
    """Each of the first steps waits for the other lane, so neither could end alone."""
    steps = 'step("one", "a", "until(\'two\')"), step("none", "a", "left out"), step("two", "b"), step("end", None)'
    left_out = "Left out: its --adapter belongs to the embedded model. Give yours to have this step too."
    expected = [title(1, 4, "one"), "one begins", "one says", title(2, 4, "none"), left_out]
    expected += [title(3, 4, "two"), "two begins", "two says", title(4, 4, "end"), "end begins", "end says"]
    assert words_of(tmp_path, steps, 2) == [*expected, f"{EXIT_DONE} None"]


def test_the_two_streams_stay_apart(tmp_path: Path) -> None:
    process = start(tmp_path, 'step("one", "a", "until(\'two\')"), step("two", "b")', 2, subprocess.PIPE)
    out, stderr = process.communicate()
    assert stderr == "one says\ntwo says\n"
    assert out.splitlines() == [title(1, 2, "one"), "one begins", title(2, 2, "two"), "two begins", "0 None"]


def test_no_more_run_at_a_time_than_asked_for(tmp_path: Path) -> None:
    alone = '''"assert not Path('busy').exists()", "Path('busy').touch()", "time.sleep(0.2)", "Path('busy').unlink()"'''
    steps = ", ".join(f'step("{lane}", "{lane}", {alone})' for lane in "abc")
    assert words_of(tmp_path, steps, 1)[-1] == "0 None"


def test_a_failure_stops_the_others_and_all_that_was_said_is_shown(tmp_path: Path) -> None:
    steps = (
        'step("one", "a", "time.sleep(600)"), step("later", "a"), '
        'step("two", "b", "until(\'begun\')", "sys.exit(2)"), step("end", None)'
    )
    process = start(tmp_path, steps.replace('"time.sleep', '"Path(\'begun\').touch()", "time.sleep'), 2)
    expected = [title(1, 4, "one"), "one begins", "one stopped", title(3, 4, "two"), "two begins", "2 two"]
    assert process.communicate()[0].splitlines() == expected


def test_a_signal_stops_all(tmp_path: Path) -> None:
    deed = '"Path(\'begun-{0}\').touch()", "time.sleep(600)"'
    steps = ", ".join(f'step("{lane}", "{lane}", {deed.format(lane)})' for lane in "ab")
    process = start(tmp_path, f'{steps}, step("end", None)', 2)
    while not all((tmp_path / f"begun-{lane}").exists() for lane in "ab"):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    expected = [title(1, 3, "a"), "a begins", "a stopped", title(2, 3, "b"), "b begins", "b stopped"]
    lines = process.communicate()[0].splitlines()
    assert lines[:-1] == expected
    assert lines[-1].startswith(f"{EXIT_STOPPED} ")


def given(*words: str) -> Given:
    return given_to(read_pipeline("introspection"), grouped(words))


def test_by_default_lanes_share_the_processors_only_where_runs_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    steps = plan(read_pipeline("introspection"), given())
    assert jobs_at_once(None, steps, given()) == 3
    assert jobs_at_once(None, steps[:7], given()) == 1
    assert jobs_at_once(None, steps, given("--model", "elsewhere")) == 1
    assert jobs_at_once(None, steps, given("--preset", "full")) == 1
    assert jobs_at_once(None, steps, given("--devices", "2")) == 1
    assert jobs_at_once("5", steps, given("--devices", "2")) == 5
    with pytest.raises(UserError, match="--jobs"):
        jobs_at_once("0", steps, given())
