"""Where a store's bytes lie: a local folder, or an fsspec URL. Owns create, read, list, durable, publish. Knows no
format.

Local: a published file is written beside its place, fsynced, renamed, and its folder fsynced. Object stores have no
rename; there a single put is atomic. Paths within a store are relative, with "/".
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from .block_file import BlockFile, Spare
from .checksums import BlockChecksums, FileChecksums
from .errors import CorruptStore, StoreError


class Files(Protocol):
    """The few operations a store needs of a place."""

    @property
    def is_local(self) -> bool: ...
    def locate(self, rel: str) -> str: ...
    def exists(self, rel: str) -> bool: ...
    def read(self, rel: str) -> bytes: ...
    def read_range(self, rel: str, offset: int, length: int) -> bytes: ...
    def size(self, rel: str) -> int: ...
    def names(self, rel: str) -> list[str]: ...
    def walk(self, rel: str) -> list[tuple[str, int]]: ...
    def make_folder(self, rel: str) -> bool: ...
    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums: ...
    def sync(self, rels: Iterable[str]) -> None: ...
    def publish(self, rel: str, data: bytes) -> None: ...


def open_files(path: str | os.PathLike[str]) -> Files:
    """The place behind a folder or a URL such as memory://name or s3://bucket/name."""
    text = os.fspath(path)
    if "://" in text and not text.startswith(("file://", "local://")):
        return RemoteFiles(text)
    return LocalFiles(Path(text.removeprefix("file://").removeprefix("local://")))


class LocalFiles:
    """A folder on a local or mounted disk."""

    is_local = True

    def __init__(self, root: Path):
        self.root = root
        self._spare = Spare()

    def locate(self, rel: str) -> str:
        return str(self.root / rel)

    def exists(self, rel: str) -> bool:
        return (self.root / rel).exists()

    def read(self, rel: str) -> bytes:
        return (self.root / rel).read_bytes()

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Raises CorruptStore if the file is gone or ends too early."""
        try:
            descriptor = os.open(self.root / rel, os.O_RDONLY)
        except FileNotFoundError:
            raise CorruptStore(f"{self.locate(rel)} is missing. Run `lit-experiments verify` on this store.") from None
        try:
            data = os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
        return _whole(data, length, offset, self.locate(rel))

    def size(self, rel: str) -> int:
        return (self.root / rel).stat().st_size

    def names(self, rel: str) -> list[str]:
        folder = self.root / rel
        return sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208 (names, not paths)

    def walk(self, rel: str) -> list[tuple[str, int]]:
        top = self.root / rel
        if top.is_file():
            return [(rel, top.stat().st_size)]
        found = (p for p in top.rglob("*") if p.is_file())
        return sorted((p.relative_to(self.root).as_posix(), p.stat().st_size) for p in found)

    def make_folder(self, rel: str) -> bool:
        """Make a folder (and those above it); False if it was there already."""
        (self.root / rel).parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.root / rel).mkdir()
        except FileExistsError:
            return False
        return True

    def create(self, rel: str) -> BlockFile:
        """A new file to write into; raises FileExistsError rather than overwrite."""
        target = self.root / rel
        target.parent.mkdir(parents=True, exist_ok=True)
        return BlockFile(target, self._spare)

    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums:
        """Write a new file from pieces, as they come; raises FileExistsError rather than overwrite."""
        with self.create(rel) as file:
            for piece in pieces:
                file.write_at(file.size, piece)
            return file.finish()

    def sync(self, rels: Iterable[str]) -> None:
        """Make files and the folders above them, up to the store's own, durable; in parallel: disks merge flushes."""
        paths = {self.root / rel for rel in rels}
        folders = {
            parent for path in paths for parent in path.parents if parent == self.root or self.root in parent.parents
        }
        with ThreadPoolExecutor(8, thread_name_prefix="stores-sync") as syncing:
            list(syncing.map(_fsync, [*paths, *folders]))

    def publish(self, rel: str, data: bytes) -> None:
        """Make `data` appear at `rel`, durably and all at once."""
        target = self.root / rel
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with temporary.open("wb", buffering=0) as file:
            _write_all(file, data)
            os.fsync(file.fileno())
        temporary.rename(target)
        _fsync(target.parent)


class RemoteFiles:
    """An object store or any other fsspec file system."""

    is_local = False

    def __init__(self, url: str):
        import fsspec

        try:
            self.fs: Any
            self.fs, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"Can't reach {url}: {error}. Install its driver, e.g. `pip install s3fs` for s3://."
            ) from error
        self.url = url.rstrip("/")

    def locate(self, rel: str) -> str:
        return f"{self.url}/{rel}"

    def _at(self, rel: str) -> str:
        return f"{self.root}/{rel}" if rel else self.root

    def exists(self, rel: str) -> bool:
        return bool(self.fs.exists(self._at(rel)))

    def read(self, rel: str) -> bytes:
        return bytes(self.fs.cat_file(self._at(rel)))

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Raises CorruptStore if the object is gone or ends too early."""
        try:
            data = bytes(self.fs.cat_file(self._at(rel), start=offset, end=offset + length))
        except FileNotFoundError:
            raise CorruptStore(f"{self.locate(rel)} is missing. Run `lit-experiments verify` on this store.") from None
        return _whole(data, length, offset, self.locate(rel))

    def size(self, rel: str) -> int:
        return int(self.fs.info(self._at(rel))["size"])

    def names(self, rel: str) -> list[str]:
        self.fs.invalidate_cache()
        if not self.fs.isdir(self._at(rel)):
            return []
        return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in self.fs.ls(self._at(rel), detail=False))

    def walk(self, rel: str) -> list[tuple[str, int]]:
        self.fs.invalidate_cache()
        found = self.fs.find(self._at(rel), detail=True)
        top = self.root.rstrip("/") + "/"
        return sorted((name.removeprefix(top), int(info["size"])) for name, info in found.items())

    def make_folder(self, rel: str) -> bool:
        """Object stores have no folders: True if nothing lies below that name."""
        return not self.fs.exists(self._at(rel))

    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums:
        sums = BlockChecksums()
        self.fs.makedirs(self._at(rel).rsplit("/", 1)[0], exist_ok=True)
        with self.fs.open(self._at(rel), "wb") as file:
            for piece in pieces:
                sums.update(piece)
                file.write(piece)
        return sums.digest()

    def sync(self, rels: Iterable[str]) -> None:
        """A finished put is durable already."""

    def publish(self, rel: str, data: bytes) -> None:
        self.fs.makedirs(self._at(rel).rsplit("/", 1)[0], exist_ok=True)
        self.fs.pipe_file(self._at(rel), data)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def _whole(data: bytes, length: int, offset: int, where: str) -> bytes:
    if len(data) != length:
        raise CorruptStore(
            f"{where} ends early: {length} bytes expected at {offset}, {len(data)} found. "
            "Run `lit-experiments verify` on this store."
        )
    return data
