"""A command of the command line from Python values. Does not know: what any experiment does."""

from __future__ import annotations

import hashlib
import json
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

from lit_experiments.errors import UserError

R = TypeVar("R")


def run_command(verb: str, experiment: str, options: dict[str, Any]) -> None:
    """Runs `lit-experiments VERB --exp EXPERIMENT` with these options, here (and in workers, for several devices).

    Raises:
        UserError: an option that does not exist or cannot be; whatever else the command raises.
    """
    from lit_experiments.cli import learning, verbs
    from lit_experiments.cli.parser import resolve, select

    words = [f"--exp={experiment}", *words_of(options)]
    resolved = resolve(verb, select(verb, words))
    run = {"collect": verbs.collect, "train": learning.train, "analyze": learning.analyze}[verb]
    run(resolved, words)


def words_of(options: dict[str, Any]) -> list[str]:
    """Options as words: text and paths as they are, switches without a value, everything else as JSON."""
    return [word for name, value in options.items() for word in _words(name, value)]


def _words(name: str, value: Any) -> list[str]:
    if name in ("restart", "dry_run"):
        return [f"--{name}"] if value else []
    if isinstance(value, str | PathLike):
        return [f"--{name}={fspath(value)}"]
    return [f"--{name}={json.dumps(value)}"]


def named_folder(experiment: str, data: str, options: dict[str, Any]) -> Path:
    """runs/EXPERIMENT-HASH of what is collected from which data: the same call finds its own run again."""
    content = json.dumps([data, options], sort_keys=True, default=str)
    return Path("runs") / f"{experiment}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def result_of(folder: Path, kind: type[R]) -> R:
    """The typed result of a finished training or analysis.

    Raises:
        UserError: there is none.
    """
    from lit_experiments.tasks.result_files import read_result

    if not (folder / "result.json").exists():
        raise UserError(f"{folder.absolute()} holds no finished results: result.json is missing.")
    return read_result(folder, kind)
