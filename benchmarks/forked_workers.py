"""Workers of a forked command, forked as well: by a child that is made before the command has any thread.

A command starts its workers, and a pipeline its steps, by `subprocess.Popen`; each would import everything again. In a
command that `fork_server` has forked, `take_over` puts `ForkedWorker` in that place. What a worker gets is the same:
its environment, the open files it is to inherit under the same numbers, a session of its own, and signals that are held
back until it takes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.process_tree import MARK, enlist

RUNS = -1000  # the answer for a process that has not ended
_HIGH = 200  # numbers of open files that nothing else uses
_HELD = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = 1 << 20


def take_over(run: Callable[[list[str]], None]) -> None:
    """From now on this process's `Crew` forks its workers. run: what becomes of one, with its words; does not return.

    Must be called while the process has one thread.
    """
    from lit_experiments.collecting import crew

    nursery = _Nursery(run)

    class Popen(ForkedWorker):
        def __init__(
            self, command: Sequence[str], env: dict[str, str], pass_fds: Sequence[int], start_new_session: bool
        ) -> None:
            assert start_new_session
            super().__init__(nursery, command[3:], env, pass_fds)  # python -m lit_experiments.cli WORDS

    class Subprocess:
        pass

    Subprocess.Popen = Popen  # type: ignore[attr-defined]
    crew.subprocess = Subprocess  # type: ignore[assignment]


class ForkedWorker:
    """One worker, with the methods of `subprocess.Popen` that `Crew` uses."""

    def __init__(self, nursery: _Nursery, words: Sequence[str], env: dict[str, str], pass_fds: Sequence[int]) -> None:
        self._nursery = nursery
        self.pid = nursery.order({"start": list(words), "env": env, "files": list(pass_fds)}, pass_fds)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            code = self._nursery.order({"wait": self.pid})
            self.returncode = None if code == RUNS else code
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class _Nursery:
    """The child that forks workers. It ends when this process does."""

    def __init__(self, run: Callable[[list[str]], None]) -> None:
        self._end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._end.close()
            _serve(other, run)
        other.close()

    def order(self, order: dict[str, Any], files: Sequence[int] = ()) -> int:
        """Asks the child; returns its answer."""
        socket.send_fds(self._end, [json.dumps(order).encode()], list(files))
        return int(self._end.recv(_MESSAGE))


def _serve(end: socket.socket, run: Callable[[list[str]], None]) -> None:
    for number in _HELD:  # whoever signals a whole group means the command and its workers
        signal.signal(number, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(end, _MESSAGE, 16)
        if not message:
            os._exit(0)
        order = json.loads(message)
        if "wait" in order:
            answer = _code(order["wait"])
        elif (answer := os.fork()) == 0:
            end.close()
            _become(order, files)
            run(order["start"])
        for file in files:
            os.close(file)
        try:
            end.send(str(answer).encode())
        except BrokenPipeError:  # the command was killed while it waited
            os._exit(0)


def _code(pid: int) -> int:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else RUNS


def _become(order: dict[str, Any], files: Sequence[int]) -> None:
    """Makes this process what `Popen` would have made of it."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    for number in _HELD:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    high = [fcntl.fcntl(file, fcntl.F_DUPFD, _HIGH) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(high, order["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(order["env"])
    enlist(os.environ[MARK], os.environ.get("RANK") if "LIT_SUPERVISED" in os.environ else None)
