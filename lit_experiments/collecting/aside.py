"""Old data and results give way by being renamed: what was collected is never deleted."""

from __future__ import annotations

import sys
from pathlib import Path

from lit_experiments.errors import UserError


def set_aside(path: Path) -> Path | None:
    """Renames a file or folder to <name>.old-1, -2, ...; returns its new place, None if there was nothing.

    Raises:
        UserError: it cannot be renamed; it is where it was.
    """
    if not path.exists():
        return None
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    try:
        path.rename(target)
    except OSError as error:
        raise UserError(f"Cannot set {path} aside: {error.strerror}. Nothing was changed.") from error
    sys.stdout.write(f"Set aside: {path} is now {target}\n")
    return target
