"""Holds a forked command at a place where a signal is to reach it, however late that comes on a busy machine.

The place is the first file that the command puts in place by a rename after a path is there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PATTERN, _RELEASE = "HALT_ONCE_THERE", "HALT_UNTIL_THERE"


def halted_at(pattern: Path, release: Path) -> dict[str, str]:
    """Environment of a command that halts once something matches `pattern`, until `release` is made or it is killed.

    Args:
        pattern: an absolute path; its last parts may hold wildcards.
        release: an absolute path; to be made after the signal, for threads and processes that are to end in good order.
    """
    return {_PATTERN: str(pattern), _RELEASE: str(release)}


def halt_when_due(env: Mapping[str, str]) -> None:
    """Called by the command's process before its work; does nothing without the environment of `halted_at`."""
    if _PATTERN not in env:
        return
    pattern, release = Path(env[_PATTERN]).relative_to("/"), env[_RELEASE]

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if event == "os.rename" and any(Path("/").glob(str(pattern))):
            while not os.path.exists(release):  # noqa: PTH110 - in the midst of other code: as little as can be
                time.sleep(0.005)

    sys.addaudithook(hook)
