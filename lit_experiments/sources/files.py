"""Reading one file of records: plain text, JSON lines and JSON documents (`delimited` and `tabular` read the others).

Owns: which suffix means which format, and what makes a line or a document malformed.
Does not know: compression (text_bytes), datasets, folders, what a study reads, whether malformed records stop a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.tables import Table, TableRow
from lit_experiments.sources.text_bytes import COMPRESSED, read_bytes, read_lines

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    "": "text",
}
TEXT = "text"
_WHOLE_FILES = ("parquet", "arrow")  # read in place, and compressed inside


def data_suffix(path: Path) -> str:
    """The suffix that says the format, in lower case: ".jsonl" of "a.jsonl" and of "a.jsonl.gz"."""
    return _uncompressed(path).suffix.lower()


def data_stem(path: Path) -> str:
    """The name without the format: "train" of "train.jsonl" and of "train.jsonl.gz"."""
    return _uncompressed(path).stem


def file_kind(path: Path) -> str:
    """The format that a file's suffix stands for; a text file may be compressed (.gz, .zst).

    Raises:
        SourceError: a suffix that stands for none.
    """
    suffix, packed = data_suffix(path), path.suffix.lower() in COMPRESSED
    kind = KINDS.get(suffix)
    if kind is None or (packed and kind in _WHOLE_FILES):
        known = ", ".join(suffix for suffix in KINDS if suffix)
        raise SourceError(
            f'{path}: cannot tell its format from the suffix "{suffix + path.suffix if packed else path.suffix}"; '
            f"known: {known}, or none for plain text; text formats also with {' or '.join(COMPRESSED)}.\n"
            f"Next: convert (or decompress) it to one of these, or rename it."
        )
    return kind


def _uncompressed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def bad_encoding(path: Path, place: int, where: str, byte: int, column: int) -> TableRow:
    """The record for a line that is not UTF-8."""
    remedy = f"convert it, e.g. iconv -f latin1 -t utf-8 {path}"
    return TableRow(place, where, None, f"not UTF-8 (byte 0x{byte:02x} at column {column})", remedy)


def read_text(path: Path) -> Table:
    """A plain text file: one record {"text": line} per line, blank ones included; places are lines."""
    return Table(str(path), TEXT, "line", ("text",), _text_lines(path, read_lines(path)))


def read_jsonl(path: Path) -> Table:
    """A file with one JSON object per line; blank lines are passed over; places are lines."""
    return Table(str(path), "jsonl", "line", None, _json_lines(path, read_lines(path)))


def read_json(path: Path) -> Table:
    """A JSON document: a list of objects, an object that holds one such list, or one object per line.

    Raises:
        SourceError: not UTF-8, not JSON, or JSON of another shape.
    """
    data = read_bytes(path)
    try:
        document = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        bad = bad_encoding(path, line, f"{path}, line {line}", data[error.start], column)
        raise SourceError(f"{bad.where}: {bad.reason}.\nNext: {bad.remedy}") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one document after the other: JSON lines under another suffix
            return read_jsonl(path)
        raise SourceError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg} at column {error.colno}).\n"
            f"Next: correct it there; if every line is a document of its own, name the file .jsonl."
        ) from error
    return Table(str(path), "json", "row", None, _json_records(path, _list_in(path, document)))


def _text_lines(path: Path, whole: Iterable[bytes]) -> Iterator[TableRow]:
    for number, line in enumerate(whole, start=1):
        where = f"{path}, line {number}"
        try:
            yield TableRow(number, where, {"text": line.removesuffix(b"\r").decode("utf-8")})
        except UnicodeDecodeError as error:
            yield bad_encoding(path, number, where, line[error.start], error.start + 1)


def _json_lines(path: Path, whole: Iterable[bytes]) -> Iterator[TableRow]:
    for row in _text_lines(path, whole):
        if row.record is None:
            yield row
        elif row.record["text"].strip():
            yield _json_line(row.place, row.where, row.record["text"])


def _json_line(place: int, where: str, text: str) -> TableRow:
    try:
        value = json.loads(text)
    except ValueError as error:  # JSONDecodeError, or a number with more digits than Python converts
        why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        return TableRow(place, where, None, f"not valid JSON ({why})")
    return _object(place, where, value)


def _object(place: int, where: str, value: Any) -> TableRow:
    if isinstance(value, dict):
        return TableRow(place, where, value)
    remedy = "if the file is one JSON list, name it .json" if isinstance(value, list) else ""
    return TableRow(place, where, None, f"a JSON {_json_type(value)} where an object with named values belongs", remedy)


def _json_type(value: Any) -> str:
    names: dict[type, str] = {list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _list_in(path: Path, content: Any) -> list[Any]:
    """The list of records in a JSON document."""
    if isinstance(content, list):
        lists = [content]
    elif isinstance(content, dict):
        lists = [v for v in content.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
    else:
        lists = []
    if len(lists) == 1 and lists[0]:
        return lists[0]
    if content == []:
        raise SourceError(f"{path} is empty: its list has no records.")
    shape = f"an object with {', '.join(content) or 'nothing'}" if isinstance(content, dict) else _json_type(content)
    raise SourceError(
        f"{path}: expected a JSON list of objects, or an object that holds exactly one such list; found {shape}.\n"
        f"Next: if every line is a record of its own, name the file .jsonl."
    )


def _json_records(path: Path, records: list[Any]) -> Iterator[TableRow]:
    for number, value in enumerate(records):
        yield _object(number, f"{path}, row {number}", value)
