"""Makes the Trainer of a run: what a run needs, and next to it what the user asked for. Knows no run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from lit_experiments.errors import UserError
from lit_experiments.quiet import quiet_lightning

WATCHING = ("logger", "callbacks", "profiler")  # flags that watch a run and leave files of their own


def make_trainer(fixed: dict[str, Any], flags: dict[str, Any], callbacks: Sequence[Callback]) -> Trainer:
    """A Trainer with its loggers started.

    Args:
        fixed: arguments that hold unless `flags` says otherwise.
        flags: the user's arguments; of its callbacks every Trainer gets copies, since a run may make several.
        callbacks: what the run needs; they come before the user's.

    Raises:
        UserError: flags that the Trainer does not take, or a logger that cannot start.
    """
    quiet_lightning()
    user_callbacks = copy.deepcopy(flags.get("callbacks") or [])
    with flags_refused():
        trainer = Trainer(**{**fixed, **flags, "callbacks": [*callbacks, *user_callbacks]})
    start_loggers(trainer.loggers)
    return trainer


def unlogged(flags: dict[str, Any]) -> dict[str, Any]:
    """The same flags without loggers: for a Trainer that is made to see whether it takes them."""
    return {key: value for key, value in flags.items() if key != "logger"}


@contextmanager
def flags_refused() -> Iterator[None]:
    """Turns what Lightning says of flags and callbacks that do not fit into one message."""
    try:
        yield
    except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"The Trainer does not take these flags: {' '.join(str(error).split())}") from error


@contextmanager
def misfits_refused() -> Iterator[None]:
    """The same while a Trainer runs, when some callbacks look at what they were given for the first time."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"A Trainer flag or callback does not fit this run: {' '.join(str(error).split())}") from error


def start_loggers(loggers: Sequence[Logger]) -> None:
    """Opens their files or connections, in the first process only; once they are open nothing happens.

    Raises:
        UserError: one of them cannot start.
    """
    for logger in loggers:
        _start(logger)


def _start(logger: Logger) -> None:
    try:
        _ = getattr(logger, "experiment", None)
    except Exception as error:
        raise UserError(
            f"The logger {type(logger).__name__} cannot start: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
