"""A child that goes on from where this process is: what is imported here need not be imported again there.

Safe while this process has done nothing but import: threads that compute, and a GPU that has been used, do not outlive
a fork. Does not know: what the child is for.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lit_experiments.errors import EXIT_DONE, EXIT_FAILED
from lit_experiments.signals import begin_anew

_THREADS = Path("/proc/self/task")
_UNFLUSHED = 120  # Python's own code for a process whose last words could not be written


def can_fork() -> bool:
    """Whether children can be forked on this system: elsewhere libraries of the system break in them."""
    return hasattr(os, "fork") and _THREADS.is_dir()


def import_once(names: Iterable[str]) -> None:
    """Imports modules that children forked later need.

    What they make stays, so no garbage is looked for meanwhile, nor among it later, here or in the children.
    """
    gc.disable()
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        gc.enable()
    gc.freeze()


def native_threads() -> int:
    """How many threads this process has, those that libraries have started unseen by Python included."""
    return sum(1 for _ in _THREADS.iterdir())


class ForkedChild:
    """A forked child, with the methods of `subprocess.Popen` that `Crew` uses.

    Attributes:
        returncode: negative for a signal; None while it was not seen to have ended.
    """

    def __init__(
        self,
        action: Callable[[], object],
        env: dict[str, str],
        close: Sequence[int],
        files: Mapping[int, int],
    ) -> None:
        """Starts it, in a session of its own, with this process's folder and open files.

        Args:
            action: what it does; its exit code is that of the SystemExit that this raises, 0 where it returns.
            env: all of its environment.
            close: numbers of open files that it must not hold.
            files: its number of an open file -> the number here.
        """
        self.returncode: int | None = None
        sys.stdout.flush()  # or both would write what waits
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(action, env, close, files)

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        code = self._reap(0)
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _reap(self, how: int) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode


def _live(action: Callable[[], object], env: dict[str, str], close: Sequence[int], files: Mapping[int, int]) -> None:
    """The child's life. It ends as an interpreter of its own would, and never returns into its parent's work."""
    code = EXIT_FAILED
    try:
        os.setsid()
        begin_anew()
        weakref.finalize._registry.clear()  # type: ignore[attr-defined]  # the parent's temporary folders stay
        for descriptor in close:
            os.close(descriptor)
        for number, here in files.items():
            os.dup2(here, number)
        os.environ.clear()
        os.environ.update(env)
        action()
        code = EXIT_DONE
    except SystemExit as end:
        code = int(end.code or EXIT_DONE)
    except BaseException:  # noqa: BLE001 - what Python itself does with one
        traceback.print_exc()
    finally:
        _end(code)


def _end(code: int) -> None:
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
        atexit._run_exitfuncs()
        code = _flushed(code)
    finally:
        os._exit(code)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
        if not sys.stderr.closed:  # by a command whose reader has gone
            sys.stderr.flush()
    except (OSError, ValueError):
        return code or _UNFLUSHED
    return code
