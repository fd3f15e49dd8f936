"""A store's bytes on an object store, by obstore. An object appears by one put, which is atomic and durable; a put may
be conditional on what was there, which is what leases and commits rest on (lease.py, fencing.py). Knows no format.

Servers and credentials come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and
AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ..., or the machine's own role.
"""

from __future__ import annotations

import datetime
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from .checksums import BlockChecksums, FileChecksums
from .errors import CorruptStore, StoreError
from .schema import nearest

SCHEMES = ("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""What has ranges, and puts that are conditional on what was there. Others (http, ftp, zip, ...) lack one of these."""
Data = TypeVar("Data", bytes, memoryview)
_RETRIES = {"max_retries": 12, "retry_timeout": datetime.timedelta(seconds=60)}  # of requests that the server fails
_ROLE_SERVER = "169.254.169.254"  # asked for a machine's own role where the environment holds no key
_VARIABLES = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL (or those of gs:// or az://)"
_PAUSES = (0.2, 0.5, 1.0)  # seconds between conditional puts that are sent again


class RemoteError(OSError):
    """The server refused, failed for too long, or can't be reached."""

    exit_code = 1


class Changed(RemoteError):
    """An object is not what a conditional put took it for."""


@dataclass(frozen=True)
class Tagged:
    """An object as it was read: its bytes, the tag by which the server knows this state of it, and when it was put, by
    the server's clock."""

    data: bytes
    tag: str
    put: datetime.datetime


class RemoteFiles:
    """A place in a bucket of an object store, behind a URL with one of SCHEMES."""

    is_local = False

    def __init__(self, url: str):
        """Raises StoreError for another scheme, or where obstore isn't installed."""
        scheme, _, place = url.partition("://")
        if scheme not in SCHEMES:
            raise StoreError(
                f"Can't use {url}: {scheme}:// is no place for a store{nearest(scheme, SCHEMES)}. "
                f"Give a local folder, or a URL with {', '.join(f'{s}://' for s in SCHEMES)}."
            )
        bucket, _, path = place.partition("/")
        self.root = "/".join(name for name in path.split("/") if name)
        if not bucket or {"..", "."} & set(self.root.split("/")):
            raise StoreError(f"Can't use {url}: give {scheme}://BUCKET/FOLDER.")
        self.url = f"{scheme}://{bucket}/{self.root}".rstrip("/")
        self._bucket = _bucket(scheme, bucket, _settings() if scheme != "memory" else frozenset())

    def locate(self, rel: str) -> str:
        return f"{self.url}/{rel}"

    def _key(self, rel: str) -> str:
        return "/".join(part for part in (self.root, rel) if part)

    @contextmanager
    def _reading(self, rel: str) -> Iterator[None]:
        try:
            with self._asking(rel):
                yield
        except FileNotFoundError:
            raise CorruptStore(f"{self.locate(rel)} is missing. Run `lit-experiments verify` on this store.") from None
        except RemoteError as error:
            raise CorruptStore(f"{self.locate(rel)} can't be read: {error}.") from error

    @contextmanager
    def _asking(self, rel: str) -> Iterator[None]:
        """Raises FileNotFoundError, Changed or RemoteError for what the server answers."""
        from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

        try:
            yield
        except NotFoundError as error:
            raise FileNotFoundError(f"{self.locate(rel)} is missing") from error
        except (AlreadyExistsError, PreconditionError) as error:
            raise Changed(f"{self.locate(rel)} was changed by another process") from error
        except BaseError as error:
            raise RemoteError(f"{self.locate(rel)}: {_first_line(error)}{_hint(error)}") from error

    def exists(self, rel: str) -> bool:
        """Whether there is an object of that name, or one below it. Raises RemoteError."""
        import obstore

        with self._asking(rel):
            with suppress(FileNotFoundError):
                obstore.head(self._bucket, self._key(rel))
                return True
            return any(True for _ in self._listed(rel, one=True))

    def obstacle(self, rel: str) -> str | None:
        """Object stores have no folders, so nothing can be in the place of one."""
        return None

    def read(self, rel: str) -> bytes:
        """Raises CorruptStore if the object is gone or can't be read."""
        return self.read_tagged(rel).data

    def read_tagged(self, rel: str) -> Tagged:
        """The object and its tag. Raises CorruptStore if it is gone or can't be read."""
        import obstore

        with self._reading(rel):
            answer = obstore.get(self._bucket, self._key(rel))
            data = bytes(answer.bytes())
            return Tagged(data, str(answer.meta["e_tag"]), answer.meta["last_modified"])

    def tag(self, rel: str) -> str | None:
        """The tag of the object as it is now; None where there is none. Raises RemoteError."""
        import obstore

        with suppress(FileNotFoundError), self._asking(rel):
            return str(obstore.head(self._bucket, self._key(rel))["e_tag"])
        return None

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Raises CorruptStore if the object is gone, can't be read or ends too early."""
        import obstore

        if not length:
            return b""
        with self._reading(rel):
            data = bytes(obstore.get_range(self._bucket, self._key(rel), start=offset, length=length))
        return whole(data, length, offset, self.locate(rel))

    def read_ranges(self, rel: str, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
        """Each (offset, length), by a request of its own. Raises as `read_range`."""
        return (self.read_range(rel, offset, length) for offset, length in ranges)

    def size(self, rel: str) -> int:
        """Raises CorruptStore if the object is gone or can't be read."""
        import obstore

        with self._reading(rel):
            return int(obstore.head(self._bucket, self._key(rel))["size"])

    def names(self, rel: str) -> list[str]:
        """What lies directly below a name; nothing where nothing does. Raises CorruptStore if it can't be read."""
        import obstore

        with self._reading(rel):
            listing = obstore.list_with_delimiter(self._bucket, self._key(rel) or None)
        paths = [*listing["common_prefixes"], *(meta["path"] for meta in listing["objects"])]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def walk(self, rel: str) -> list[tuple[str, int]]:
        """(name, bytes) of the objects below a name. Raises CorruptStore if they can't be listed."""
        with self._reading(rel):
            return sorted(self._listed(rel))

    def tags(self, but: tuple[str, ...]) -> list[tuple[str, str]]:
        """(name, tag) of all objects but those whose names begin with one of `but`. Raises RemoteError."""
        tags: list[tuple[str, str]] = []
        folders = [""]
        while folders:  # folder by folder, so that what is left out is not listed, however much it is
            below, objects = self._level(folders.pop())
            folders += [name for name in below if not f"{name}/".startswith(but)]
            tags += [(name, tag) for name, tag in objects if not name.startswith(but)]
        return sorted(tags)

    def _level(self, rel: str) -> tuple[list[str], list[tuple[str, str]]]:
        """(names that others begin with, (name, tag) of objects) directly below a name."""
        import obstore

        with self._asking(rel):
            listed = obstore.list_with_delimiter(self._bucket, self._key(rel) or None)
        objects = [(self._rel(meta["path"]), str(meta["e_tag"])) for meta in listed["objects"]]
        return [self._rel(prefix).rstrip("/") for prefix in listed["common_prefixes"]], objects

    def _rel(self, key: str) -> str:
        return key[len(self.root) + 1 :] if self.root else key

    def _listed(self, rel: str, one: bool = False) -> Iterator[tuple[str, int]]:
        import obstore

        for batch in obstore.list(self._bucket, self._key(rel) or None, chunk_size=1 if one else 1000):
            for meta in batch:
                yield self._rel(meta["path"]), int(meta["size"])

    def make_folder(self, rel: str) -> bool:
        """Object stores have no folders: True if nothing lies below that name."""
        return not self.exists(rel)

    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums:
        """Write a new object from pieces, as they come, by one put; in several parts where it is large, of which none
        shows before all are there. Raises RemoteError."""
        import obstore

        sums = BlockChecksums()

        def summed() -> Iterator[bytes]:
            for piece in pieces:
                data = bytes(piece)
                sums.update(data)
                yield data

        with self._asking(rel):
            obstore.put(self._bucket, self._key(rel), summed())
        return sums.digest()

    def sync(self, rels: Iterable[str]) -> None:
        """A finished put is durable already."""

    def publish(self, rel: str, data: bytes) -> None:
        """Put an object in the place of whatever is there. Raises RemoteError."""
        import obstore

        with self._asking(rel):
            obstore.put(self._bucket, self._key(rel), data, use_multipart=False)

    def publish_first(self, rel: str, data: bytes) -> None:
        """As `publish`, unless something is there: of several processes the first wins. Raises RemoteError."""
        with suppress(Changed):
            self.put_new(rel, data)

    def put_new(self, rel: str, data: bytes) -> str:
        """Make an object that isn't there; returns its tag. Raises Changed where one of other bytes is, RemoteError."""
        return self._put(rel, data, "create")

    def swap(self, rel: str, data: bytes, tag: str) -> str:
        """Put an object in the place of the one with this tag; returns the new tag. Raises Changed, RemoteError."""
        return self._put(rel, data, {"e_tag": tag})

    def _put(self, rel: str, data: bytes, mode: Any) -> str:
        """A conditional put. Where an answer was lost and the put sent again, the second one is refused although the
        first one did it: then what is there is what was to be put."""
        import obstore

        for pause in (*_PAUSES, None):
            try:
                with self._asking(rel):
                    return str(obstore.put(self._bucket, self._key(rel), data, mode=mode, use_multipart=False)["e_tag"])
            except (Changed, FileNotFoundError) as error:
                with suppress(CorruptStore):
                    there = self.read_tagged(rel)
                    if there.data == data:
                        return there.tag
                raise Changed(str(error)) from error
            except RemoteError:  # a broken connection, after which the client does not know whether it may try again
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    def delete(self, rel: str) -> None:
        """Remove an object. Raises RemoteError."""
        import obstore

        with self._asking(rel):
            obstore.delete(self._bucket, self._key(rel))

    def copy(self, rel: str, to: str) -> None:
        """Copy an object within the bucket, on the server. Raises RemoteError."""
        import obstore

        with self._asking(rel):
            obstore.copy(self._bucket, self._key(rel), self._key(to))

    def clock(self) -> datetime.datetime:
        """The server's time, to the second: that at which it takes an object. Raises RemoteError."""
        rel = f".clock-{secrets.token_hex(8)}"
        self.publish(rel, b"")
        try:
            return self.read_tagged(rel).put
        finally:
            self.delete(rel)


def _settings() -> frozenset[tuple[str, str]]:
    """What the environment says of servers and credentials."""
    return frozenset(item for item in os.environ.items() if item[0].startswith(("AWS_", "GOOGLE_", "AZURE_")))


@cache
def _bucket(scheme: str, name: str, settings: frozenset[tuple[str, str]]) -> Any:
    """The client of a bucket, kept with its connections for as long as the environment says the same. Raises
    StoreError."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import MemoryStore, from_url
    except ImportError as error:
        raise StoreError(
            f"Can't reach {scheme}://{name}: obstore isn't installed. Next: pip install 'lit-experiments[remote]'"
        ) from error
    if scheme == "memory":
        return MemoryStore()
    url = f"{'gs' if scheme == 'gcs' else scheme}://{name}"
    try:
        return from_url(url, retry_config=_RETRIES, client_options={"allow_http": True})
    except BaseError as error:
        raise StoreError(f"Can't reach {url}: {_first_line(error)}") from error


def _hint(error: Exception) -> str:
    """Where to look when the server doesn't let this process in, or nobody said who it is."""
    refused = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or _ROLE_SERVER in str(error)
    return f"\nNext: set {_VARIABLES}, and look at the bucket's name and rights" if refused else ""


def _first_line(error: Exception) -> str:
    """What an error of obstore says, without the dump of its source."""
    return str(error).partition("\n")[0]


def whole(data: Data, length: int, offset: int, where: str) -> Data:
    """`data`, if all of it came. Raises CorruptStore if the file ended before."""
    if len(data) != length:
        raise CorruptStore(
            f"{where} ends early: {length} bytes expected at {offset}, {len(data)} found. "
            "Run `lit-experiments verify` on this store."
        )
    return data
