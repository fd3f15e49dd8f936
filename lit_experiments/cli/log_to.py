"""`--log_to`: the logger that finished results are sent to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError


def result_loggers(name: str | None, trainer: dict[str, Any], root: Path) -> list[Any]:
    """The logger of a name, not started: the Trainer's own where it has one of this kind, or else one that writes to
    `root`.

    Raises:
        UserError: no such logger, or its package is missing.
    """
    if name is None:
        return []
    from lit_experiments.cli.trainer_flags import build_flags

    try:
        made = build_flags({"logger": name}, root)["logger"]
    except UserError as error:
        raise UserError(str(error).replace("--trainer.logger", "--log_to")) from error
    known = trainer.get("logger")
    running = known if isinstance(known, list) else []
    return [next((logger for logger in running if type(logger) is type(new)), new) for new in made]
