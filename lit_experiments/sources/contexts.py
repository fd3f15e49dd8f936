"""Contexts: short texts, one per line of a file, per record of a JSONL file, or per row of a dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.sources.errors import SourceError

EMBEDDED = "embedded"
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "contexts.txt"


@dataclass(frozen=True)
class Contexts:
    """Texts with the place that each came from.

    Attributes:
        texts: non-blank, surrounding white space removed.
        places: line (from 1) or row (from 0) of each text.
        blank: how many blank entries were skipped.
        name: what was read, for people.
        digest: sha256 of the texts: the data's part of a fingerprint.
    """

    texts: list[str]
    places: list[int]
    blank: int
    name: str
    digest: str


def read_contexts(source: str, text_column: str | None) -> Contexts:
    """Reads contexts from "embedded", a text file (one per line), a .jsonl file, a dataset folder or a Hub id.

    Args:
        source: where they are; a Hub id is NAME[@CONFIG][:SPLIT], split `train` unless given.
        text_column: the key or column that holds the text; needed for everything but text files.

    Raises:
        SourceError: missing, empty, binary or badly encoded file; malformed record; unknown column; no such dataset.
    """
    path = _SHIPPED if source == EMBEDDED else Path(source).expanduser()
    if path.is_file() and path.suffix not in (".jsonl", ".txt", ".text", ".md", "") and text_column is None:
        raise SourceError(f"{path}: name the column that holds the text with --text_column.")
    if path.is_file():
        entries = _text_lines(path) if text_column is None else _file_records(path, text_column)
    elif path.is_dir() or ("/" in source and not source.startswith((".", "/", "~"))):
        entries = _dataset_rows(source, path, text_column)
    else:
        raise SourceError(
            f'Contexts not found: "{source}" is neither a file nor a folder (looked for {path.absolute()}).\n'
            f"Next: --contexts FILE with one context per line, or --contexts embedded."
        )
    return _contexts(entries, "embedded contexts" if source == EMBEDDED else source)


def _contexts(entries: Iterator[tuple[int, str]], name: str) -> Contexts:
    texts: list[str] = []
    places: list[int] = []
    blank = 0
    digest = hashlib.sha256()
    for place, raw in entries:
        text = raw.strip()
        if not text:
            blank += 1
            continue
        texts.append(text)
        places.append(place)
        digest.update(text.encode() + b"\0")
    if not texts:
        raise SourceError(f"{name} holds no context: {blank} blank entries, nothing else.")
    return Contexts(texts, places, blank, name, digest.hexdigest())


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    data = _read(path)
    for number, line in enumerate(data.split(b"\n"), start=1):
        yield number, _decode(line, path, number)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror}.") from error
    if not data.strip():
        raise SourceError(f"{path} is empty.")
    if b"\0" in data[:65536]:
        raise SourceError(f"{path} is a binary file (it holds NUL bytes); contexts are UTF-8 text, one per line.")
    return data.removeprefix(b"\xef\xbb\xbf")


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
        raise SourceError(
            f"{path}, line {number}: not UTF-8 ({found}).\nNext: convert it, e.g. iconv -f latin1 -t utf-8 {path}"
        ) from error


def _file_records(path: Path, column: str) -> Iterator[tuple[int, str]]:
    if path.suffix != ".jsonl":
        yield from _rows(_load_file(path), column, str(path))
        return
    for number, line in enumerate(_read(path).split(b"\n"), start=1):
        text = _decode(line, path, number)
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise SourceError(
                f"{path}, line {number}: not valid JSON ({error.msg} at column {error.colno})."
            ) from error
        if not isinstance(record, dict) or column not in record:
            keys = ", ".join(record) if isinstance(record, dict) else type(record).__name__
            raise SourceError(f'{path}, line {number}: no key "{column}"; it has: {keys}.')
        yield number, _text(record[column], f"{path}, line {number}", column)


def _load_file(path: Path) -> Any:
    from datasets import load_dataset

    kinds = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".json": "json", ".arrow": "arrow"}
    if path.suffix not in kinds:
        raise SourceError(f"{path}: with --text_column the file must be one of .jsonl, {', '.join(kinds)}.")
    return load_dataset(kinds[path.suffix], data_files=str(path), split="train")


def _dataset_rows(source: str, path: Path, column: str | None) -> Iterator[tuple[int, str]]:
    from datasets import DatasetDict, load_dataset, load_from_disk

    if column is None:
        raise SourceError(f'"{source}" is a dataset: name the column that holds the text with --text_column.')
    identity, _, split = source.partition(":")
    name, _, config = identity.partition("@")
    try:
        data = (
            load_from_disk(str(path)) if path.is_dir() else load_dataset(name, config or None, split=split or "train")
        )
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f'Cannot load the dataset "{source}": {reason}') from error
    if isinstance(data, DatasetDict):
        raise SourceError(f'"{source}" holds several splits ({", ".join(data)}); point at one of its folders.')
    yield from _rows(data, column, source)


def _rows(data: Any, column: str, name: str) -> Iterator[tuple[int, str]]:
    if column not in data.column_names:
        raise SourceError(f'{name} has no column "{column}"; it has: {", ".join(data.column_names)}.')
    for number, value in enumerate(data[column]):
        yield number, _text(value, f"{name}, row {number}", column)


def _text(value: Any, where: str, column: str) -> str:
    if not isinstance(value, str):
        raise SourceError(f'{where}: "{column}" must be text, found {type(value).__name__}.')
    return value
