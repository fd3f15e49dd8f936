"""Runs the commands of a pipeline's steps, each in a process of its own.

Where the process is the command line's own, it imports once what the steps import, and forks them; what is imported
takes longer than many a step. Elsewhere, and where a fork is not safe, each is an interpreter of its own.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from lit_experiments.collecting.crew import run_child, run_forked, worker_command
from lit_experiments.collecting.forked import can_fork, native_threads

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
    """Runs commands one after the other.

    Args:
        console: what forked children do with their commands; None: none is forked.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console if can_fork() else None
        self._threads = 0
        if self._console is not None:
            for name in IMPORTED:
                importlib.import_module(name)
            self._threads = native_threads()
            gc.freeze()  # children need not look through what they got from here

    def run(self, words: Sequence[str]) -> int:
        """Runs `lit-experiments WORDS` to its end, passing signals on.

        Returns:
            Its exit code; 75 if a signal came, however it ended.
        """
        console = self._console
        if console is None or native_threads() > self._threads:  # by a class of the user's own, maybe
            return run_child(worker_command(words))
        return run_forked(lambda: _become(console, list(words)))


def _become(console: Console, words: list[str]) -> None:
    """What a forked child does: the command, in an interpreter of its own where the parent has used a GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():
        os.execv(sys.executable, worker_command(words))
    sys.argv[1:] = words
    console(words)
