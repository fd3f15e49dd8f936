"""SIGTERM and SIGINT end a command with code 75 wherever it is, in good order, with one line and no traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lit_experiments.errors import EXIT_STOPPED, Stopped
from lit_experiments.signals import LIFELINE, StopNow, StopSignal, held_back, stop_signal

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def _command(code: str) -> "subprocess.Popen[str]":
    """A `lit-experiments` command whose dispatch is `code`; prints "here" when it has begun."""
    program = f"""
import sys
from lit_experiments.cli import main as module
import lit_experiments.cli.main
command = sys.modules["lit_experiments.cli.main"]
def dispatch(argv, again):
    print("here", flush=True)
    {code}
command._dispatch = dispatch
command.console()
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program], text=True, env=env, **pipes)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(600)",
        "while True: pass",
        "import threading; threading.Event().wait()",
        # a library that swallows what it does not know, and one that turns it into something else
        "import time\n    while True:\n        try: time.sleep(600)\n        except Exception: pass",
        "import time\n    try: time.sleep(600)\n    except BaseException: raise ImportError('numpy.core failed')",
        # one that swallows everything, and a call into C that does not come back: ended from beside
        "import time\n    while True:\n        try: time.sleep(600)\n        except BaseException: pass",
        "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
        # a destructor, out of which nothing can be raised
        "import time\n    class Slow:\n        def __del__(self): time.sleep(600)\n    Slow(); time.sleep(600)",
        # a thread that would keep the interpreter from ending
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); time.sleep(600)",
    ],
)
def test_a_signal_ends_a_command_wherever_it_is(number: int, code: str) -> None:
    process = _command(code)
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.returncode == EXIT_STOPPED
    assert stderr.startswith(f"stopped: by {signal.Signals(number).name}. ")
    assert stderr.count("\n") == 1


def test_what_was_opened_is_closed_before_the_end(tmp_path: Path) -> None:
    process = _command(
        f"import tempfile, time\n    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}): time.sleep(600)"
    )
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    process.terminate()
    process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_has_something_to_say_is_not_taken_for_the_signal() -> None:
    process = _command(
        "from lit_experiments.errors import RunFailed\n    from lit_experiments.signals import stop_signal\n"
        "    import time\n"
        "    with stop_signal() as stop:\n        stop.remember(); print('loop', flush=True)\n"
        "        while stop.name is None: time.sleep(0.01)\n        raise RunFailed('the disk is full')"
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, stderr = process.communicate()
    assert (process.returncode, stderr) == (1, "failed: the disk is full\n")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0])
def test_a_signal_during_the_start_of_a_real_command(number: int, delay: float, tmp_path: Path) -> None:
    """Somewhere in its imports, or after them; a busy machine only moves the place. No earlier than its first line."""
    command = [sys.executable, "-X", "importtime", "-m", "lit_experiments.cli"]
    words = ["collect", "--exp", "tempnorm", "--run", str(tmp_path / "run"), "--accelerator", "cpu"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, *words], text=True, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    while "lit_experiments.cli.configs" not in process.stderr.readline():
        pass
    time.sleep(delay)
    process.send_signal(number)
    stderr = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
    process.wait()
    assert process.returncode == EXIT_STOPPED
    assert [line for line in stderr if not line.startswith("stopped: by ")] == []


def test_a_loop_is_told_where_it_looks() -> None:
    with stop_signal() as stop:
        stop.remember()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="by SIGTERM"):
            stop.check()


def test_outside_of_a_loop_it_raises_once() -> None:
    with stop_signal() as stop:
        stop.raise_at_once()
        with pytest.raises(StopNow):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # unwinding is not disturbed
        with pytest.raises(Stopped):
            stop.remember()


def test_a_signal_that_was_held_back_until_there_was_a_handler_is_the_first_thing_a_command_sees() -> None:
    """Its parent stopped it as soon as it had started it."""
    read_end, write_end = os.pipe()
    env = {**os.environ, "PYTHONPATH": str(ROOT), LIFELINE: str(read_end)}
    command = [sys.executable, "-m", "lit_experiments.cli", "list"]
    with held_back():
        process = subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[read_end]
        )
        process.terminate()
    out, stderr = process.communicate()
    os.close(write_end)
    assert (process.returncode, out) == (EXIT_STOPPED, "")
    assert stderr.startswith("stopped: by SIGTERM")
    assert stderr.count("\n") == 1


def test_handlers_are_put_back_and_one_is_enough() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_signal() as outer:
        with stop_signal() as inner:
            assert inner is outer
        assert signal.getsignal(signal.SIGTERM) == outer._handle
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what Lightning's handlers do
        outer.install()
        assert signal.getsignal(signal.SIGTERM) == outer._handle
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with stop_signal() as later:
        assert later is not outer


def test_a_second_ctrl_c_ends_a_loop_on_the_spot() -> None:
    process = _command(
        "from lit_experiments.signals import stop_signal\n    import time\n"
        "    with stop_signal() as stop:\n        stop.remember(); print('loop', flush=True)\n"
        "        while stop.name is None: time.sleep(0.01)\n"
        "        print('remembered', flush=True); time.sleep(600); print('never')"
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "remembered\n"  # two at once would be one
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, stderr = process.communicate()
    assert (process.returncode, out) == (EXIT_STOPPED, "")
    assert stderr.startswith("stopped: by SIGINT")


def test_a_signal_object_can_be_made_without_being_used() -> None:
    StopSignal().check()
