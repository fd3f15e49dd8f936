"""A store's bytes on an object store, by fsspec. An object appears by one put, which is atomic and durable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .checksums import BlockChecksums, FileChecksums
from .errors import CorruptStore, StoreError
from .schema import nearest

# What has folders by prefix, ranges and atomic puts. Others (http, ftp, zip, ...) lack one of these.
SCHEMES = ("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")


class RemoteFiles:
    """An object store behind a URL with one of SCHEMES."""

    is_local = False

    def __init__(self, url: str):
        """Raises StoreError for another scheme, or one whose driver isn't installed."""
        import fsspec

        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            raise StoreError(
                f"Can't use {url}: {scheme}:// is no place for a store{nearest(scheme, SCHEMES)}. "
                f"Give a local folder, or a URL with {', '.join(f'{s}://' for s in SCHEMES)}."
            )
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

    @contextmanager
    def _reading(self, rel: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise CorruptStore(f"{self.locate(rel)} is missing. Run `lit-experiments verify` on this store.") from None
        except OSError as error:
            raise CorruptStore(f"{self.locate(rel)} can't be read: {error.strerror or error}.") from error

    def exists(self, rel: str) -> bool:
        return bool(self.fs.exists(self._at(rel)))

    def obstacle(self, rel: str) -> str | None:
        """Object stores have no folders, so nothing can be in the place of one."""
        return None

    def read(self, rel: str) -> bytes:
        """Raises CorruptStore if the object is gone or can't be read."""
        with self._reading(rel):
            return bytes(self.fs.cat_file(self._at(rel)))

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Raises CorruptStore if the object is gone, can't be read or ends too early."""
        with self._reading(rel):
            data = bytes(self.fs.cat_file(self._at(rel), start=offset, end=offset + length))
        return whole(data, length, offset, self.locate(rel))

    def size(self, rel: str) -> int:
        """Raises CorruptStore if the object is gone or can't be read."""
        with self._reading(rel):
            return int(self.fs.info(self._at(rel))["size"])

    def names(self, rel: str) -> list[str]:
        self.fs.invalidate_cache()
        with self._reading(rel):
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

    def publish_first(self, rel: str, data: bytes) -> None:
        """As `publish`, unless something is there. Not every object store can promise that to two at once."""
        if not self.exists(rel):
            self.publish(rel, data)


def whole(data: bytes, length: int, offset: int, where: str) -> bytes:
    """`data`, if all of it came. Raises CorruptStore if the file ended before."""
    if len(data) != length:
        raise CorruptStore(
            f"{where} ends early: {length} bytes expected at {offset}, {len(data)} found. "
            "Run `lit-experiments verify` on this store."
        )
    return data
