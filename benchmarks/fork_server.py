"""Starts `lit-experiments` commands by forking a process that has imported everything: a start costs no seconds, and
neither does that of the command's workers (forked_workers.py).

One thread only: forking a process with thread pools would hang its children.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.forked_workers import ForkedProcess, Nursery, forked_nursery, serve, take_over
from benchmarks.process_tree import MARK


class ForkServer:
    """The process that forks; a context manager. `start` fits `kill_points.run`."""

    def __init__(self, root: Path) -> None:
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "benchmarks.fork_server", str(other.fileno())]
        nothing, files = subprocess.DEVNULL, [other.fileno()]
        self._process = subprocess.Popen(command, env=self._env, cwd=root, stdin=nothing, pass_fds=files)
        other.close()
        self.nursery = Nursery(end)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.nursery.close()  # ends it, whatever signals it was started to ignore
        self._process.wait()

    def start(self, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> ForkedProcess:
        """Starts a command in a folder, its output in log.txt there. env: further environment variables."""
        with (folder / "log.txt").open("ab") as log:
            files = {1: log.fileno(), 2: log.fileno()}
            all_env = {**self._env, **(env or {}), MARK: str(folder)}
            return ForkedProcess(self.nursery, argv, all_env, files, folder=folder)

    def run(self, argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Runs a command in a folder to its end, as `subprocess.run` does with `capture_output` and `text`."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as errors,
            Path(os.devnull).open("rb") as nothing,
        ):
            files = {0: nothing.fileno(), 1: out.fileno(), 2: errors.fileno()}
            code = ForkedProcess(self.nursery, argv, self._env, files, folder=folder).wait()
            out.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(list(argv), code, out.read().decode(), errors.read().decode())


def _run(argv: list[str]) -> None:
    """Runs a command, whose workers will be forked too, and ends the process."""
    from lit_experiments.cli import console
    from lit_experiments.errors import EXIT_FAILED

    nursery = forked_nursery(_run)  # made while the process has one thread
    take_over(lambda: nursery)
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


def main(file: int) -> None:
    """Imports what commands need, then answers orders. file: number of the socket."""
    import datasets  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import transformers.models.auto.modeling_auto
    import transformers.models.llama.modeling_llama  # noqa: F401

    import lit_experiments.cli.learning
    import lit_experiments.cli.pipelines
    import lit_experiments.collecting.run
    import lit_experiments.experiments.prefill_dynamics.analysis
    import lit_experiments.experiments.prefill_dynamics.collect
    import lit_experiments.experiments.tempnorm.collect
    import lit_experiments.experiments.tempnorm.train  # noqa: F401 - imported here so that the children need not

    serve(socket.socket(fileno=file), _run)


if __name__ == "__main__":
    main(int(sys.argv[1]))
