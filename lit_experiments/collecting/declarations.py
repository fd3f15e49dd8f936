"""What of a store's columns is a label, a group, a split: `declarations.json` next to the store.

Declarations shape no number. Every collect call writes them anew, so they can be changed without collecting again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError
from lit_experiments.plain import write_json

NAME = "declarations.json"


@dataclass(frozen=True)
class Declarations:
    """Names of columns as the store has them. label_columns: what probes are to find in the states; group_column: rows
    that belong together in every split and resample; split_column: which part of the data a row is of."""

    label_columns: tuple[str, ...] = ()
    group_column: str | None = None
    split_column: str | None = None

    def write(self, run: Path) -> None:
        """Writes RUN/declarations.json, whole or not at all. Raises UserError where that is not possible."""
        try:
            write_json(run / NAME, self)
        except OSError as error:
            raise UserError(f"Cannot write {(run / NAME).absolute()}: {error.strerror}.") from error


def read_declarations(run: Path) -> Declarations:
    """Those of a run; none where it has no such file. Raises UserError for a damaged file."""
    path = run / NAME
    if not path.exists():
        return Declarations()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Declarations(tuple(content["label_columns"]), content["group_column"], content["split_column"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Next: run the collection again; it is written anew.") from error
