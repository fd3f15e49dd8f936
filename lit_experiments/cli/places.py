"""Folders and files that the command line names: of this machine, and nothing else in disguise."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from lit_experiments.errors import UserError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_FILE_URL = re.compile(r"file:(?://([^/]*))?(/.*)")


def local_path(option: str, text: str) -> Path:
    """The path that an option names; `file://` and `~` are understood.

    Raises:
        UserError: nothing, a URL, or what no file system takes.
    """
    if not text.strip() or "\0" in text:
        raise UserError(f"{option} must name a folder or file, found {text!r}.")
    file_url = _FILE_URL.fullmatch(text)
    if file_url is not None and file_url[1] in (None, "", "localhost"):
        text = unquote(file_url[2])
    elif _URL.match(text):
        otherwise = "give a path (stores.open_store(URL) reads a store elsewhere in Python)."
        raise UserError(
            f"{option} {text}: URLs are not taken here, only folders and files of this machine.\n"
            f"Next: {f'lit-experiments pull {text}, then give its folder' if text.startswith('hf:') else otherwise}"
        )
    path = Path(text).expanduser()
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"{option} {text[:80]}: {error.strerror}.") from error
    return path


def local_folder(option: str, text: str) -> Path:
    """The folder that an option names, existing or not.

    Raises:
        UserError: as `local_path`; or it, or something above it, is a file.
    """
    path = local_path(option, text)
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise UserError(f"{option} {text}: {part} is a file, no folder.\nNext: choose a folder with {option} DIR.")
    return path


def new_file(option: str, text: str) -> Path:
    """The file that an option names, which a command will make. Raises UserError where it exists or cannot lie."""
    path: Path = local_path(option, text)
    local_folder(option, str(path.parent))
    if path.exists() or not path.absolute().parent.is_dir():
        fault = "exists already" if path.exists() else "lies in a folder that there is not"
        raise UserError(f"{option} {text} {fault}.\nNext: name a new file in a folder that exists.")
    return path
