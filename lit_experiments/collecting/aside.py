"""Old data and results give way by being renamed: what was collected is never deleted."""

from __future__ import annotations

import sys
from pathlib import Path

from lit_experiments.errors import UserError
from stores.files import LocalFiles, open_files
from stores.lease import LEASE_NAME
from stores.remote_files import RemoteFiles
from stores.store_file import STORE_JSON


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


def holds_store(store: Path) -> bool:
    """Whether there is a store, or what is left of one, in a run's folder or where that points to."""
    files = open_files(store)
    return store.exists() if isinstance(files, LocalFiles) else any(name != LEASE_NAME for name in files.names(""))


def set_store_aside(store: Path) -> None:
    """As `set_aside`; on object storage by copies on the server, and removal when they are whole. store.json is copied
    last and removed first: a store that has one is whole, wherever a kill comes.

    Raises:
        UserError: it cannot be moved; nothing of it is lost.
    """
    files = open_files(store)
    if isinstance(files, LocalFiles):
        set_aside(store)
        return
    assert isinstance(files, RemoteFiles)
    around, name = RemoteFiles(files.url.rpartition("/")[0]), files.url.rpartition("/")[2]
    number = 1
    while around.exists(target := f"{name}.old-{number}"):
        number += 1
    held = [rel for rel, _ in files.walk("") if rel != LEASE_NAME]
    held.sort(key=lambda rel: rel == STORE_JSON)
    try:
        for rel in held:
            around.copy(f"{name}/{rel}", f"{target}/{rel}")
        for rel in reversed(held):
            files.delete(rel)
    except OSError as error:
        raise UserError(f"Cannot set {files.url} aside: {error}. Nothing is lost; run the command again.") from error
    sys.stdout.write(f"Set aside: {files.url} is now {around.locate(target)}\n")
