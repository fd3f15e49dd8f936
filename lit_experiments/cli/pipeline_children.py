"""Runs the commands of a pipeline's steps, each in a process of its own.

Several may run side by side, see `pipeline_run`. Where the process is the command line's own, it imports once what the
steps import, and forks them; what is imported takes longer than many a step. Elsewhere, and where a fork is not safe,
each is an interpreter of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from lit_experiments.collecting.crew import Crew, Output, run_one, worker_command
from lit_experiments.collecting.forked import can_fork, import_once, native_threads

Console = Callable[[list[str]], None]
"""Runs a command in this process and ends the process."""

IMPORTED = (
    "lightning.pytorch",
    "lit_experiments.cli.learning",
    "lit_experiments.collecting.run",
    "sklearn.linear_model",
    "stores.zarr_backend",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
)
"""What the steps of most pipelines import."""


class PipelineChildren:
    """Runs commands, in a process that takes signals (`stop_signal`) already.

    Args:
        console: what forked children do with their commands; None: none is forked.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console if can_fork() else None
        self._threads = 0
        if self._console is not None:
            import_once(IMPORTED)
            self._threads = native_threads()

    def run(self, words: Sequence[str]) -> int:
        """Runs `lit-experiments WORDS` to its end, passing signals on.

        Returns:
            Its exit code; 75 if a signal came, however it ended.
        """
        return run_one(lambda crew: self.start(crew, words))

    def start(self, crew: Crew, words: Sequence[str], output: Output | None = None, share: int = 1) -> None:
        """Adds a child that runs `lit-experiments WORDS` to a crew.

        Args:
            output: where its words go; None: where this process's go.
            share: how many children share the processors.
        """
        env = dict(os.environ)
        if share > 1:
            env.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // share)))
        console = self._console
        if console is None or native_threads() > self._threads:  # by a class of the user's own, maybe
            crew.start(worker_command(words), env, (), output)
        else:
            crew.fork(lambda: _become(console, list(words), int(env.get("OMP_NUM_THREADS", 0))), env, output)


def _become(console: Console, words: list[str], threads: int) -> None:
    """What a forked child does: the command, in an interpreter of its own where the parent has used a GPU.

    threads: for libraries that have read the environment long ago; 0 for as many as they like.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():
        os.execv(sys.executable, worker_command(words))
    if threads:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if torch is not None and threads:
        torch.set_num_threads(threads)
    sys.argv[1:] = words
    console(words)
