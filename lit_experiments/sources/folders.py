"""Records of a dataset: a folder that `datasets` saved, a folder of data files, or an id on the Hugging Face Hub.

Owns: what NAME[@CONFIG][:SPLIT] means, and which files of a folder are its data.
Does not know: what a study reads, whether malformed records stop a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lit_experiments.sources.class_names import class_names
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import KINDS, TEXT, data_stem, data_suffix
from lit_experiments.sources.tables import Table, TableRow

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.+-]+)?(:[\w.+\[\]%-]+)?")
_SAVED = ("dataset_info.json", "state.json")
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}
_ABOUT = {"readme", "license", "licence"}
_SPLITS = ("train", "validation", "valid", "dev", "test")


def is_hub_id(source: str) -> bool:
    """Whether a source that is no file or folder here can be an id on the Hub."""
    return bool(_HUB_ID.fullmatch(source)) and source[0] != "." and data_suffix(Path(source)) not in set(KINDS) - {""}


def split_folder(source: str) -> tuple[Path, str | None] | None:
    """(folder, split) if the source is FOLDER or FOLDER:SPLIT, else None."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path, None
    folder, colon, split = source.rpartition(":")
    if colon and folder and split and Path(folder).expanduser().is_dir():
        return Path(folder).expanduser(), split
    return None


def read_hub(source: str) -> Table:
    """A dataset of the Hub, NAME[@CONFIG][:SPLIT], split `train` unless given; places are rows.

    Raises:
        SourceError: it cannot be loaded.
    """
    from datasets import load_dataset

    identity, _, split = source.partition(":")
    name, _, config = identity.partition("@")
    try:
        data = load_dataset(name, config or None, split=split or "train")
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_load(source, error) from error
    return _dataset(source, data)


def hub_splits(source: str) -> list[str]:
    """The splits of NAME[@CONFIG] on the Hub. Raises SourceError where it cannot be asked."""
    from datasets import get_dataset_split_names

    name, _, config = source.partition("@")
    try:
        return list(get_dataset_split_names(name, config or None))
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_load(source, error) from error


def folder_splits(folder: Path) -> list[str]:
    """The splits that a folder of data says it has, by what `datasets` saved or by the names of its files."""
    saved = folder / "dataset_dict.json"
    if saved.is_file():
        return list(json.loads(saved.read_text(encoding="utf-8"))["splits"])
    files = _listed(folder)
    return sorted({name for path in files if (name := _split_of(folder, path)) is not None})


def _listed(folder: Path) -> list[Path]:
    """Every data file below a folder. Raises SourceError where a part of it cannot be read."""
    try:
        return [path for path in sorted(folder.rglob("*")) if _is_data(folder, path)]
    except OSError as error:
        raise SourceError(f"Cannot read the folder {error.filename or folder}: {error.strerror}.") from error


def read_folder(folder: Path, split: str | None, read_file: Callable[[Path], Table]) -> Table:
    """A folder saved by `datasets`, or one of data files of one format, read one after the other.

    Places are rows; over several files, the running number of the record.

    Raises:
        SourceError: nothing to read, several splits or formats, or files with different columns.
    """
    if (folder / "dataset_dict.json").is_file() or all((folder / name).is_file() for name in _SAVED):
        return _saved(folder, split)
    files = data_files(folder, split)
    tables = [read_file(path) for path in files]
    if len(tables) == 1:
        return tables[0]
    for table in tables[1:]:
        if table.columns != tables[0].columns:
            raise SourceError(
                f"The files of {folder} differ in their columns: {tables[0].name} has "
                f"{', '.join(tables[0].columns or ())}; {table.name} has {', '.join(table.columns or ())}.\n"
                f"Next: point at one of the files."
            )
    notes = tuple(note for table in tables for note in table.notes)
    return Table(str(folder), tables[0].kind, "row", tables[0].columns, _one_after_another(tables), notes)


def data_files(folder: Path, split: str | None) -> list[Path]:
    """The data files below a folder, in order: those of one format (text only if there is no other), of one split.

    Raises:
        SourceError: none, several formats, or several splits and none asked for.
    """
    files = _listed(folder)
    records = [path for path in files if KINDS[data_suffix(path)] != TEXT]
    files = records or files
    suffixes = sorted({data_suffix(path) for path in files})
    kinds = {KINDS[suffix] for suffix in suffixes}
    if not files:
        known = ", ".join(suffix for suffix in KINDS if suffix)
        raise SourceError(f"{folder} holds no data file.\nNext: point at a file, or at a folder with {known} files.")
    if len(kinds) > 1:
        raise SourceError(
            f"{folder} holds files of several formats ({', '.join(suffixes)}).\nNext: point at one of the files."
        )
    return _of_split(folder, files, split)


def _is_data(folder: Path, path: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    known = (
        data_suffix(path) in KINDS
        and path.suffix != ""
        and path.name not in _NOT_DATA
        and data_stem(path).lower() not in _ABOUT
    )
    return known and not hidden and path.is_file()


def _of_split(folder: Path, files: list[Path], split: str | None) -> list[Path]:
    named = {path: _split_of(folder, path) for path in files}
    splits = sorted({name for name in named.values() if name})
    if split is not None:
        files = [path for path in files if named[path] == split or data_stem(path) == split]
        if not files:
            raise SourceError(
                f'{folder} has no file of a split "{split}"; file names tell of: {", ".join(splits) or "none"}.'
            )
    elif len(splits) > 1:
        raise SourceError(
            f"{folder} holds several splits ({', '.join(splits)}).\nNext: name one, {folder}:{splits[-1]}, or a file."
        )
    return files


def _split_of(folder: Path, path: Path) -> str | None:
    """The split that a file's name begins or ends with, or that a folder above it is called."""
    words = re.split(r"[^a-z]+", data_stem(path).lower().rstrip("0123456789"))
    parents = [part.lower() for part in path.relative_to(folder).parts[:-1]]
    candidates = {words[0], words[-1], *parents}
    return next((split for split in _SPLITS if split in candidates), None)


def _one_after_another(tables: list[Table]) -> Iterator[TableRow]:
    number = 0
    for table in tables:
        for row in table.rows:
            yield TableRow(number, row.where, row.record, row.reason, row.remedy)
            number += 1


def _saved(folder: Path, split: str | None) -> Table:
    from datasets import DatasetDict, load_from_disk

    try:
        data = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise _cannot_load(str(folder), error) from error
    if isinstance(data, DatasetDict):
        if split not in data:
            wrong = f', none called "{split}"' if split else ""
            raise SourceError(
                f'"{folder}" holds several splits ({", ".join(data)}){wrong}.\nNext: name one, '
                f"{folder}:{next(iter(data))}."
            )
        data = data[split]
    return _dataset(str(folder) if split is None else f"{folder}:{split}", data)


def _dataset(name: str, data: Any) -> Table:
    classes = class_names(data.features)
    rows = (TableRow(number, f"{name}, row {number}", classes.named(record)) for number, record in enumerate(data))
    return Table(name, "dataset", "row", tuple(data.column_names), rows)


def _cannot_load(source: str, error: Exception) -> SourceError:
    reason = " ".join(str(error).split())
    return SourceError(
        f'Cannot load the dataset "{source}": {reason}\n'
        f"Next: check NAME[@CONFIG][:SPLIT] and the connection, or point at a file or folder of your own."
    )
