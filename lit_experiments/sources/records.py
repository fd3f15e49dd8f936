"""One way to read records from users' files and datasets, and one way to deal with malformed ones.

Owns: choosing the reader for a source, stopping at or counting malformed records, and the wording of both.
Does not know: formats (files, delimited, tabular, folders), what a study makes of a record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lit_experiments.sources.delimited import Headerless, read_csv
from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import file_kind, read_json, read_jsonl, read_text
from lit_experiments.sources.folders import is_hub_id, read_folder, read_hub, split_folder
from lit_experiments.sources.tables import Table
from lit_experiments.sources.tabular import read_arrow, read_parquet

Malformed = Literal["stop", "skip"]
REASONS_KEPT = 5


@dataclass(frozen=True)
class Skipped:
    """Malformed records that were left out: how many, and the reasons of the first few with their places."""

    count: int = 0
    reasons: tuple[str, ...] = ()

    def note(self) -> str:
        """For a run's notes."""
        more = f"; and {self.count - len(self.reasons)} more" if self.count > len(self.reasons) else ""
        return f"{self.count} malformed records left out: {'; '.join(self.reasons)}{more}"


class RecordStream:
    """The well-formed records of a source, once, in order; malformed ones raise or are counted.

    Iterating gives (place, record): the line of a file (from 1) or the row of a dataset (from 0), and values by name.
    What a study finds wrong with a record goes to `reject`, so that it is treated like what the format finds wrong.
    """

    def __init__(self, table: Table, malformed: Malformed) -> None:
        """Reads nothing yet.

        Raises:
            SourceError: `malformed` is neither "stop" nor "skip".
        """
        if malformed not in get_args(Malformed):
            raise SourceError(f'malformed must be "stop" or "skip", found "{malformed}".')
        self.name, self.kind, self.unit, self.columns = table.name, table.kind, table.unit, table.columns
        self.notes, self.where = table.notes, table.name
        self._rows, self._malformed = table.rows, malformed
        self._count, self._reasons = 0, list[str]()

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in self._rows:
            self.where = row.where
            if row.record is None:
                self.reject(row.reason, row.remedy)
            else:
                yield row.place, row.record

    def reject(self, reason: str, remedy: str = "", where: str | None = None) -> None:
        """Leave out the current record (or the one at `where`), or stop at it.

        Raises:
            SourceError: malformed records stop the reading.
        """
        message = f"{where or self.where}: {reason}"
        if self._malformed == "stop":
            raise SourceError(
                f"{message}.\nNext: {remedy or 'correct it'}; or leave malformed records out, counted, with "
                f"--malformed skip."
            )
        self._count += 1
        if len(self._reasons) < REASONS_KEPT:
            self._reasons.append(message)

    @property
    def skipped(self) -> Skipped:
        """What was left out so far."""
        return Skipped(self._count, tuple(self._reasons))

    def require_column(self, name: str, option: str) -> None:
        """Check a column before reading, where the source fixes its columns.

        Raises:
            SourceError: it is not there; the message has those that are, and the nearest.
        """
        if self.columns is not None and name not in self.columns:
            raise SourceError(
                f"{self.name} has {missing('column', name, self.columns)}.\nNext: name the right one with {option}."
            )

    def require_some(self, kept: int, what: str) -> None:
        """Check after reading that something is left.

        Raises:
            SourceError: nothing is; the message has the first reasons.
        """
        if kept == 0:
            why = f": {self.skipped.note()}" if self._count else ""
            raise SourceError(f"{self.name} holds no {what}{why}.")


def open_records(
    source: str,
    option: str,
    malformed: Malformed = "stop",
    headerless: Headerless | None = None,
    quoting: Quoting = "auto",
) -> RecordStream:
    """Open a file (by its suffix), a folder (saved by `datasets`, or of data files), or a Hub id.

    Args:
        source: path, FOLDER[:SPLIT], or NAME[@CONFIG][:SPLIT] (split `train` unless given).
        option: the command line option that names the source, for messages.
        malformed: raise at the first malformed record, or leave out and count.
        headerless: see `delimited.read_csv`.
        quoting: what quotes are in CSV and TSV files; see `dialect.dialect_of`.

    Raises:
        SourceError: nothing there, or it is empty, binary, of an unknown format, or cannot be loaded; `quoting` is
            given for something else than CSV or TSV.
    """
    path, folder = Path(source).expanduser(), split_folder(source)
    if path.is_file():
        table = _read_file(path, headerless, quoting)
    elif folder is not None:
        table = read_folder(*folder, lambda file: _read_file(file, headerless, quoting))
    elif is_hub_id(source):
        table = read_hub(source)
    else:
        raise SourceError(_not_found(source, path, option))
    check_quoting(quoting, table.name, table.kind)
    return RecordStream(table, malformed)


def check_quoting(quoting: Quoting, name: str, kind: str) -> None:
    """Raises SourceError where quotes are spoken of that a source of some kind (see `Table`) has not."""
    if quoting not in get_args(Quoting):
        raise SourceError(f'quoting must be one of {", ".join(get_args(Quoting))}, found "{quoting}".')
    if quoting != "auto" and kind != "csv":
        raise SourceError(f"--quoting {quoting} is for CSV and TSV files; {name} is {kind}.")


def missing(noun: str, name: str, have: Iterable[str]) -> str:
    """'no column "txt"; it has: text, id (nearest: "text")'."""
    names = [str(item) for item in have]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f' (nearest: "{near[0]}")' if near else ""
    return f'no {noun} "{name}"; it has: {", ".join(names) or "nothing"}{hint}'


def _read_file(path: Path, headerless: Headerless | None, quoting: Quoting) -> Table:
    kind = file_kind(path)
    if kind == "csv":
        return read_csv(path, headerless, quoting)
    readers = {
        "jsonl": read_jsonl,
        "json": read_json,
        "parquet": read_parquet,
        "arrow": read_arrow,
        "text": read_text,
    }
    return readers[kind](path)


def _not_found(source: str, path: Path, option: str) -> str:
    what = option.removeprefix("--").capitalize()
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f' Nearest: "{path.with_name(near[0])}".' if near else ""
    return (
        f'{what} not found: "{source}" is neither a file nor a folder (looked for {path.absolute()}).{hint}\n'
        f"Next: {option} FILE_OR_FOLDER_OR_HUB_ID, or {option} embedded."
    )
