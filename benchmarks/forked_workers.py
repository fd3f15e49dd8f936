"""Commands and their workers, forked by a process that has imported everything and has one thread.

A command starts its workers, and a pipeline its steps, by `subprocess.Popen`; each would import everything again. After
`take_over` they are forked. What a forked process gets is the same: its environment, its folder, the open files it is
to inherit under the same numbers; a worker also a session of its own, and signals that are held back until it takes
them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.process_tree import MARK, enlist

RUNS = -1000  # the answer for a process that has not ended
_HIGH = 200  # numbers of open files that nothing else uses
_HELD = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = 1 << 20
_STANDARD = {0: 0, 1: 1, 2: 2}
_CLI = [sys.executable, "-m", "lit_experiments.cli"]


class Nursery:
    """The other end of a process that forks commands. It ends when this end is closed, or this process ends."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._guard = threading.Lock()

    def order(self, order: dict[str, Any], files: Sequence[int] = ()) -> int:
        """Asks for something; returns the answer.

        Raises:
            RuntimeError: the forking process has ended.
        """
        with self._guard:
            try:
                socket.send_fds(self._end, [json.dumps(order).encode()], list(files))
                answer = self._end.recv(_MESSAGE)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        if not answer:
            raise RuntimeError("the forking process has ended; its message is above")
        return int(answer)

    def close(self) -> None:
        self._end.close()


class ForkedProcess:
    """A forked command, with the methods of `subprocess.Popen` that `Crew` and the tests use."""

    def __init__(
        self,
        nursery: Nursery,
        argv: Sequence[str],
        env: Mapping[str, str],
        files: Mapping[int, int],
        is_worker: bool = False,
        folder: Path | None = None,
    ) -> None:
        """Starts it.

        Args:
            argv: words of a `lit-experiments` command.
            env: all of its environment.
            files: its number of an open file -> the number here.
            is_worker: whether it has a session of its own and takes signals when it is ready.
            folder: that it runs in; default: that of this process.
        """
        self._nursery = nursery
        order = {"start": list(argv), "env": dict(env), "files": list(files), "folder": str(folder or Path.cwd())}
        self.pid = nursery.order(order | {"is_worker": is_worker}, list(files.values()))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            code = self._nursery.order({"wait": self.pid})
            self.returncode = None if code == RUNS else code
        return self.returncode

    def wait(self) -> int:
        """The exit code, when it has ended."""
        pause = 0.002
        while (code := self.poll()) is None:
            time.sleep(pause)
            pause = min(2 * pause, 0.02)  # each look takes the processor from what is waited for
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def take_over(nursery: Callable[[], Nursery]) -> None:
    """From now on this process's `Crew` has its commands forked; other programs start as ever.

    Args:
        nursery: called at each start.
    """
    from lit_experiments.collecting import crew

    def popen(
        command: Sequence[str],
        env: dict[str, str],
        pass_fds: Sequence[int],
        start_new_session: bool,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Any:
        if list(command[:3]) != _CLI or not start_new_session:
            return subprocess.Popen(
                command, env=env, pass_fds=pass_fds, start_new_session=start_new_session, stdout=stdout, stderr=stderr
            )
        given = {number: here for number, here in ((1, stdout), (2, stderr)) if here is not None}
        files = _STANDARD | given | {n: n for n in pass_fds}
        return ForkedProcess(nursery(), command[3:], env, files, is_worker=True)

    crew.subprocess = SimpleNamespace(Popen=popen)  # type: ignore[assignment]


def forked_nursery(run: Callable[[list[str]], None]) -> Nursery:
    """A nursery that is a child of this process, which must have one thread. run: becomes of a child, with its words;
    does not return."""
    end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        end.close()
        serve(other, run)
    other.close()
    return Nursery(end)


def serve(end: socket.socket, run: Callable[[list[str]], None]) -> None:
    """Forks what the other end orders until that is closed; then ends this process."""
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
    if order["is_worker"]:
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
    os.chdir(order["folder"])
    if order["is_worker"] and MARK in os.environ:
        enlist(os.environ[MARK], os.environ.get("RANK") if "LIT_SUPERVISED" in os.environ else None)
