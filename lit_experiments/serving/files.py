"""Files of the folder that may be sent: pages, pictures and tables inside of it, nothing hidden, nothing elsewhere."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

from lit_experiments.serving.answers import HTML, FileAnswer, Refused

_TEXT = "text/plain; charset=utf-8"
KINDS = {
    ".html": HTML,
    ".md": _TEXT,
    ".txt": _TEXT,
    ".log": _TEXT,
    ".yaml": _TEXT,
    ".json": "application/json",
    ".jsonl": _TEXT,
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}
"""What is sent, by the end of its name; a browser takes it for nothing else."""


def file_at(root: Path, address: str) -> FileAnswer:
    """The file of an address such as "/tempnorm/tempnorm_ridge/report.html". root: the folder, resolved.

    Raises:
        Refused: there is none inside of the folder, links followed; or none of a kind that is sent.
    """
    parts = address_parts(address)
    try:
        path = root.joinpath(*parts).resolve(strict=True)
        usable = path.is_relative_to(root) and path.is_file()
    except (OSError, RuntimeError):  # none there, a name that is too long, links in a circle
        usable = False
    if not usable or path.suffix.lower() not in KINDS:
        raise Refused(HTTPStatus.NOT_FOUND, f"There is no page or table {'/'.join(parts)} in this folder.")
    return FileAnswer(path, KINDS[path.suffix.lower()])


def address_parts(address: str) -> list[str]:
    """The names that an address consists of. Raises Refused for one that leads upwards, or to something hidden."""
    try:
        parts = unquote(address, errors="strict").removeprefix("/").removesuffix("/").split("/")
    except UnicodeDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The address is not UTF-8.") from error
    if any(part == "" or part.startswith(".") or set(part) & {"\0", "\\"} for part in parts):
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such page in this folder.")
    return parts
