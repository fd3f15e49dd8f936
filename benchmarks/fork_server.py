"""Starts `lit-experiments` commands by forking a process that has imported everything: a start costs no seconds, and
neither does that of the command's workers (forked_workers.py).

One thread only: forking a process with thread pools would hang its children.
"""

from __future__ import annotations

import gc
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from benchmarks.forked_workers import ForkedProcess, Nursery, forked_nursery, serve, take_over
from benchmarks.free_port import free_port
from benchmarks.halting import halt_when_due
from benchmarks.process_tree import MARK
from lit_experiments.cli.pipeline_children import IMPORTED
from lit_experiments.collecting.forked import import_once

_IMPORTED = (
    *IMPORTED,
    "datasets",
    "docstring_parser",
    "google_crc32c",
    "jsonargparse",
    "lit_experiments.cli.help",
    "lit_experiments.cli.pipelines",
    "lit_experiments.collecting.dry_run",
    "lit_experiments.experiments.activations.collect",
    "lit_experiments.experiments.introspection.collect",
    "lit_experiments.experiments.linear_probes.run",
    "lit_experiments.experiments.pos.probe",
    "lit_experiments.experiments.prefill_dynamics.analysis",
    "lit_experiments.experiments.prefill_dynamics.collect",
    "lit_experiments.experiments.tempnorm.collect",
    "lit_experiments.experiments.tempnorm.train",
    "numcodecs",
    "transformers.models.llama.modeling_llama",
)


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
        return self._collect(argv, [self._env], folder)[0]

    def run_ranks(self, script: Path, arguments: Sequence[object], number: int, modules: Path) -> None:
        """Runs a Python program in several processes that Lightning takes for the ranks of one launch.

        Args:
            script: the program's absolute path.
            modules: folder of modules that it imports.

        Raises:
            subprocess.CalledProcessError: one of them failed; holds what it wrote.
        """
        meeting = {
            **self._env,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "NODE_RANK": "0",
            "PYTHONPATH": str(modules),
        }
        argv = [str(script), *map(str, arguments)]
        environments = [{**meeting, "LOCAL_RANK": str(rank)} for rank in range(number)]
        for done in self._collect(argv, environments, script.parent):
            done.check_returncode()

    def _collect(
        self, argv: Sequence[str], environments: Sequence[Mapping[str, str]], folder: Path
    ) -> list[subprocess.CompletedProcess[str]]:
        """Runs the same in one process for each environment, side by side, and gathers what they write."""
        with ExitStack() as stack:
            outputs = [[stack.enter_context(tempfile.TemporaryFile()) for _ in (1, 2)] for _ in environments]
            processes = [
                ForkedProcess(self.nursery, argv, env, {1: out.fileno(), 2: errors.fileno()}, folder=folder)
                for env, (out, errors) in zip(environments, outputs, strict=True)
            ]
            codes = [process.wait() for process in processes]
            texts = [[_text(file) for file in files] for files in outputs]
        return [subprocess.CompletedProcess(argv, code, *text) for code, text in zip(codes, texts, strict=True)]


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _run(argv: list[str]) -> None:
    """Runs a command, whose workers will be forked too, or a Python program, and ends the process."""
    from lit_experiments.cli import console
    from lit_experiments.errors import EXIT_DONE, EXIT_FAILED

    halt_when_due(os.environ)
    nursery = forked_nursery(_run)  # made while the process has one thread
    take_over(lambda: nursery)
    code = EXIT_FAILED
    try:
        if argv and argv[0].startswith("/"):
            sys.argv, sys.path[:0] = argv, [os.environ["PYTHONPATH"]]
            runpy.run_path(argv[0], run_name="__main__")
        else:
            console(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    except Exception:  # noqa: BLE001 - what Python itself does with one
        traceback.print_exc()
    else:
        code = EXIT_DONE
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _compile_names() -> None:
    """Has transformers build its table of checkpoint names of all models, a thousand regular expressions: the first
    model that a process loads does, which takes a quarter of a small command's time."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("llama")


def main(file: int) -> None:
    """Imports what commands need, then answers orders. file: number of the socket."""
    import_once(_IMPORTED)
    _compile_names()
    gc.freeze()
    serve(socket.socket(fileno=file), _run)


if __name__ == "__main__":
    main(int(sys.argv[1]))
