"""Starts `lit-experiments` commands by forking a process that has imported everything: a start costs no seconds, and
neither does that of the command's workers (forked_workers.py).

Reads one JSON order a line from standard input, writes one number a line. {"start": argv, "folder": path, "env": {}}
forks and answers the child's pid; {"wait": pid} answers its exit code, or -1000 while it runs. One thread only: forking
a process with thread pools would hang its children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RUNS = -1000  # the answer for a process that has not ended


class ForkServer:
    """The process that forks; a context manager. `start` fits `kill_points.run`."""

    def __init__(self, root: Path) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._guard = threading.Lock()
        self._process = subprocess.Popen([sys.executable, __file__], text=True, env=env, cwd=root, **pipes)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # ends it, whatever signals it was started to ignore
        self._process.wait()

    def start(self, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Forked:
        """Starts a command in a folder, its output in log.txt there. env: further environment variables."""
        return Forked(self, self.order({"start": list(argv), "folder": str(folder), "env": dict(env or {})}))

    def order(self, order: dict[str, Any]) -> int:
        """Asks the forking process; returns its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._guard:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the forking process has ended; its message is above")
        return int(answer)


class Forked:
    """One started command, with the methods of `subprocess.Popen` that are needed."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid, self._server, self._code = pid, server, RUNS

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code == RUNS:
            self._code = self._server.order({"wait": self.pid})
        return None if self._code == RUNS else self._code

    def wait(self) -> int:
        """The exit code, when it has ended."""
        while (code := self.poll()) is None:
            time.sleep(0.002)
        return code


def _child(argv: list[str], folder: str, env: dict[str, str]) -> None:
    from benchmarks.process_tree import MARK

    os.environ.update(env, **{MARK: folder})
    os.chdir(folder)
    with Path("log.txt").open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    _run(argv)


def _run(argv: list[str]) -> None:
    """Runs a command, whose workers will be forked too, and ends the process."""
    from benchmarks.forked_workers import take_over
    from lit_experiments.cli import console
    from lit_experiments.errors import EXIT_FAILED

    take_over(_run)
    code = EXIT_FAILED
    try:
        console(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    except Exception:  # noqa: BLE001 - what Python itself does with one
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _answer(order: dict[str, Any]) -> int:
    if "wait" in order:
        pid, status = os.waitpid(order["wait"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else RUNS
    pid = os.fork()
    if pid == 0:
        _child(order["start"], order["folder"], order["env"])
    return pid


def serve() -> None:
    """Answers orders until the input ends."""
    import lit_experiments.cli
    import lit_experiments.cli.learning
    import lit_experiments.cli.pipelines
    import lit_experiments.collecting.run
    import lit_experiments.experiments.prefill_dynamics.analysis
    import lit_experiments.experiments.prefill_dynamics.collect
    import lit_experiments.experiments.tempnorm.collect
    import lit_experiments.experiments.tempnorm.train  # noqa: F401 - imported here so that the children need not

    for line in sys.stdin:
        sys.stdout.write(f"{_answer(json.loads(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
