"""Where a store's bytes lie: a local folder, an object store, or (to be read) a repository of the Hub. Owns create,
read, list, durable, publish. Knows no format.

Local: a published file is written next to its place, fsynced, renamed, and its folder fsynced. Object stores have no
rename; there a single put is atomic. Paths within a store are relative, with "/". Only plain files are read (a FIFO
would wait for ever, a device never end), and whatever stands in a file's place is a CorruptStore that says what it is.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from .block_file import BlockFile, Spare
from .checksums import FileChecksums
from .elsewhere import pointed
from .errors import CorruptStore, StoreError
from .hub_files import SCHEME, HubFiles
from .remote_files import RemoteFiles, whole

_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFREG: "a file",
}  # fmt: skip
_ELSEWHERE = ("s3", "gs", "az", "hf")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # also of a URL whose slashes a path library collapsed
_LOCAL_URL = re.compile(r"(?:file|local)://(?=/)")


class Files(Protocol):
    """The few operations a store needs of a place."""

    @property
    def is_local(self) -> bool: ...
    def locate(self, rel: str) -> str: ...
    def exists(self, rel: str) -> bool: ...
    def obstacle(self, rel: str) -> str | None: ...
    def read(self, rel: str) -> bytes: ...
    def read_range(self, rel: str, offset: int, length: int) -> bytes: ...
    def read_ranges(self, rel: str, ranges: list[tuple[int, int]]) -> Iterator[bytes | memoryview]: ...
    def size(self, rel: str) -> int: ...
    def names(self, rel: str) -> list[str]: ...
    def walk(self, rel: str) -> list[tuple[str, int]]: ...
    def make_folder(self, rel: str) -> bool: ...
    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums: ...
    def sync(self, rels: Iterable[str]) -> None: ...
    def publish(self, rel: str, data: bytes) -> None: ...
    def publish_first(self, rel: str, data: bytes) -> None: ...


def open_files(path: str | os.PathLike[str]) -> Files:
    """The place behind a folder or a URL such as s3://bucket/name, or a file that stands for one (elsewhere.py).

    Raises StoreError for a URL that no store can have, also where its slashes were collapsed ("s3:/bucket").
    """
    text = _LOCAL_URL.sub("", os.fspath(path))
    if "://" in text:
        return _files_at(text)
    for name in Path(text).parts:
        if _SCHEME.fullmatch(name):
            raise StoreError(
                f"Can't use {text}: as a URL it needs {name}//, and no folder of a store is named {name!r}."
            )
    url = pointed(Path(text))
    return LocalFiles(Path(text)) if url is None else _files_at(url)


def _files_at(url: str) -> Files:
    return HubFiles(url) if url.startswith(f"{SCHEME}://") else RemoteFiles(url)


def runs_in(folder: Path) -> list[Path]:
    """Folders in a folder that hold a store, by name. None that are hidden: a pull fetches into such a one. Not those
    of runs that lie elsewhere (`copies_in`)."""
    return sorted(path.parent.parent for path in folder.glob("[!.]*/store/store.json"))


def copies_in(folder: Path) -> list[Path]:
    """Folders in a folder that are working copies of runs that lie elsewhere (a file in them names the store's URL),
    and those below s3/, gs/, az/ and hf/, where commands put them."""
    below = (path for scheme in _ELSEWHERE for path in (folder / scheme).rglob("store"))
    return sorted(path.parent for path in (*folder.glob("[!.]*/store"), *below) if pointed(path) is not None)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether there is a store.json, whatever it says."""
    return open_files(path).exists("store.json")


class LocalFiles:
    """A folder on a local or mounted disk."""

    is_local = True

    def __init__(self, root: Path):
        self.root = root
        self._spare = Spare()

    def locate(self, rel: str) -> str:
        return str(self.root / rel)

    def exists(self, rel: str) -> bool:
        """Whether there is anything under that name, be it a link to nothing."""
        return os.path.lexists(self.root / rel)

    def obstacle(self, rel: str) -> str | None:
        """What keeps a folder from being listed ("is a FIFO, not a folder"); None also where nothing is."""
        path = self.root / rel
        try:
            os.scandir(path).close()
        except FileNotFoundError:
            return "is a link to nothing" if path.is_symlink() else None
        except NotADirectoryError:
            with suppress(OSError):
                return f"is {_KINDS[stat.S_IFMT(path.stat().st_mode)]}, not a folder"
            return None  # what is above it is no folder
        except OSError as error:
            return f"can't be read: {error.strerror}"
        return None

    def read(self, rel: str) -> bytes:
        """Raises CorruptStore if the file is gone, no plain file, or can't be read."""
        with self._open(rel) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return file.read()

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Raises CorruptStore if the file is gone, no plain file, can't be read, or ends too early."""
        with self._open(rel) as descriptor:
            data = os.pread(descriptor, length, offset)
        return whole(data, length, offset, self.locate(rel))

    def read_ranges(self, rel: str, ranges: list[tuple[int, int]]) -> Iterator[memoryview]:
        """Each (offset, length), good until the next is taken: fresh memory costs more than reading into it. From a
        file opened once. Raises as `read_range`."""
        room = memoryview(bytearray(max(length for _, length in ranges)))
        where = self.locate(rel)
        with self._open(rel) as descriptor:
            for offset, length in ranges:
                done = os.preadv(descriptor, [room[:length]], offset)
                yield whole(room[:done], length, offset, where)

    def size(self, rel: str) -> int:
        """Raises CorruptStore if the file is gone or no plain file."""
        with _explained(self.root / rel):
            return _plain_size(self.root / rel, (self.root / rel).stat())

    @contextmanager
    def _open(self, rel: str) -> Iterator[int]:
        path = self.root / rel
        with _explained(path):
            _plain_size(path, path.stat())  # before opening, which a device might notice
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def names(self, rel: str) -> list[str]:
        """What a folder holds; nothing where there is no folder. Raises CorruptStore if it can't be read."""
        with _explained(self.root / rel):
            try:
                return sorted(os.listdir(self.root / rel))  # noqa: PTH208 (names, not paths)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def walk(self, rel: str) -> list[tuple[str, int]]:
        """(path, bytes) of the plain files below a folder."""
        sizes = []
        for folder, _, names in os.walk(self.root / rel):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):  # a writer's temporary file that has its name by now
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode):
                        sizes.append((path.relative_to(self.root).as_posix(), status.st_size))
        return sorted(sizes)

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
        self._write_beside(target, data).rename(target)
        _fsync(target.parent)

    def publish_first(self, rel: str, data: bytes) -> None:
        """As `publish`, unless something is there: of several processes the first wins."""
        target = self.root / rel
        temporary = self._write_beside(target, data)
        try:
            os.link(temporary, target)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not self.exists(rel):
                temporary.rename(target)
        temporary.unlink(missing_ok=True)
        _fsync(target.parent)

    def _write_beside(self, target: Path, data: bytes) -> Path:
        """A durable temporary file."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)  # of a killed process that had our number
        with temporary.open("xb", buffering=0) as file:
            _write_all(file, data)
            os.fsync(file.fileno())
        return temporary


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Make what the system says of a path a CorruptStore that names it."""
    try:
        yield
    except FileNotFoundError:
        if path.is_symlink():
            raise CorruptStore(f"{path} is a link to nothing. Run `lit-experiments verify` on this store.") from None
        raise CorruptStore(f"{path} is missing. Run `lit-experiments verify` on this store.") from None
    except OSError as error:
        raise CorruptStore(f"{path} can't be read: {error.strerror}.") from error


def _plain_size(path: Path, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        raise CorruptStore(f"{path} is {kind}, not a file. Run `lit-experiments verify` on this store.")
    return status.st_size


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
