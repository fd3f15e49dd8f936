"""A store's bytes in a repository of the Hugging Face Hub, read lazily by huggingface_hub's own client. Reads only:
what goes there goes as a whole, by `lit-experiments push`.

One object of this class reads one commit of the repository: the one that its revision named when it was first asked.
Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from .checksums import FileChecksums
from .errors import CorruptStore, NotWritable, StoreError
from .hub_errors import explained
from .remote_files import whole

SCHEME = "hf"
KINDS = ("dataset", "model")
_ADDRESS = re.compile(
    r"hf://(?:(?P<kind>dataset|model)s/)?(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(?P<path>.*))?"
)
_FORM = "hf://OWNER/NAME, hf://datasets/OWNER/NAME or hf://models/OWNER/NAME, with @REVISION or without"


@dataclass(frozen=True)
class HubAddress:
    """A place on the Hub. kind: "dataset", "model", or None where the URL does not say; revision: branch, tag or
    commit, None for the main branch; path: within the repository."""

    kind: str | None
    id: str
    revision: str | None
    path: str

    @classmethod
    def parse(cls, url: str) -> HubAddress:
        """Raises StoreError for a URL that names no repository."""
        match = _ADDRESS.fullmatch(url.rstrip("/"))
        path = "/".join(name for name in ("" if match is None else match["path"] or "").split("/") if name)
        if match is None or {".", ".."} & {*path.split("/"), *match["id"].split("/")}:
            raise StoreError(f"Can't use {url}: this names no repository of the Hub. Give {_FORM}.")
        revision = match["revision"]
        return cls(match["kind"], match["id"], None if revision is None else unquote(revision), path)

    def __str__(self) -> str:
        kind = "" if self.kind is None else f"{self.kind}s/"
        revision = "" if self.revision is None else f"@{quote(self.revision, safe='')}"
        return f"hf://{kind}{self.id}{revision}{'/' if self.path else ''}{self.path}"


class HubFiles:
    """A place in a repository, behind a URL with hf://; without a kind, of a dataset."""

    is_local = False

    def __init__(self, url: str):
        """Raises StoreError for a URL that names no repository."""
        self.address = HubAddress.parse(url)
        self.url = str(self.address)
        self._kind = self.address.kind or "dataset"

    @cached_property
    def _commit(self) -> str:
        """The commit that is read."""
        with explained(self.url):
            info = hub_client().repo_info(self.address.id, repo_type=self._kind, revision=self.address.revision)
        return str(info.sha)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Path to bytes of every file below this place."""
        root = self._full("")
        with explained(self.url):
            entries = _listed(_endpoint(), f"{self._kind}s/{self.address.id}@{self._commit}")
        below = f"{root}/" if root else ""
        return {path.removeprefix(below): size for path, size in entries if path.startswith(below)}

    def _full(self, rel: str) -> str:
        return "/".join(part for part in (self.address.path, rel.strip("/")) if part)

    def locate(self, rel: str) -> str:
        return f"{self.url}/{rel}"

    def exists(self, rel: str) -> bool:
        """Whether there is a file of that name, or one below it. Raises StoreError where the Hub does not answer."""
        below = f"{rel.strip('/')}/" if rel.strip("/") else ""
        return rel in self._sizes or any(name.startswith(below) for name in self._sizes)

    def holds_run(self) -> bool:
        """Whether this is the folder of a run, which has its store below it. Raises HubError."""
        return self.exists("store/store.json") and not self.exists("store.json")

    def obstacle(self, rel: str) -> str | None:
        """Repositories have no folders but for the names of files, so nothing can be in the place of one."""
        return None

    def read(self, rel: str) -> bytes:
        """Raises CorruptStore if the file is gone or can't be read."""
        return self.read_range(rel, 0, self.size(rel))

    def read_range(self, rel: str, offset: int, length: int) -> bytes:
        """Asks the Hub for these bytes and no others. Raises CorruptStore if the file is gone, can't be read or ends
        too early."""
        size = self.size(rel)
        if not length:
            return b""
        place = f"{self._kind}s/{self.address.id}@{self._commit}/{self._full(rel)}"
        try:
            with (
                explained(self.locate(rel)),
                _file_system(_endpoint()).open(place, "rb", cache_type="none", size=size) as file,
            ):
                file.seek(offset)
                data = bytes(file.read(length))
        except StoreError as error:
            raise CorruptStore(f"{self.locate(rel)} can't be read: {error}") from error
        return whole(data, length, offset, self.locate(rel))

    def read_ranges(self, rel: str, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
        """Each (offset, length), by a request of its own. Raises as `read_range`."""
        return (self.read_range(rel, offset, length) for offset, length in ranges)

    def size(self, rel: str) -> int:
        """Raises CorruptStore if there is no such file."""
        if rel not in self._sizes:
            raise CorruptStore(f"{self.locate(rel)} is missing. Run `lit-experiments verify` on this store.")
        return self._sizes[rel]

    def names(self, rel: str) -> list[str]:
        """What lies directly below a name; nothing where nothing does."""
        below = f"{rel.strip('/')}/" if rel.strip("/") else ""
        return sorted({name[len(below) :].partition("/")[0] for name in self._sizes if name.startswith(below)})

    def walk(self, rel: str) -> list[tuple[str, int]]:
        """(name, bytes) of the files below a name."""
        below = f"{rel.strip('/')}/" if rel.strip("/") else ""
        return sorted((name, size) for name, size in self._sizes.items() if name.startswith(below))

    def make_folder(self, rel: str) -> bool:
        self.refuse()

    def write(self, rel: str, pieces: Iterable[bytes]) -> FileChecksums:
        self.refuse()

    def sync(self, rels: Iterable[str]) -> None:
        self.refuse()

    def publish(self, rel: str, data: bytes) -> None:
        self.refuse()

    def publish_first(self, rel: str, data: bytes) -> None:
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raises NotWritable."""
        raise NotWritable(
            f"{self.url} can only be read: no store grows on the Hub. Collect into a folder, then\n"
            f"Next: lit-experiments push RUN {self.url}"
        )


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def hub_client() -> Any:
    """huggingface_hub's client, with the endpoint (HF_ENDPOINT) and the token (HF_TOKEN, or of `hf auth login`) that
    it finds itself."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), library_name="lit-experiments")


@cache
def _file_system(endpoint: str) -> Any:
    from huggingface_hub import HfFileSystem

    return HfFileSystem(endpoint=endpoint, skip_instance_cache=True)


@cache
def _listed(endpoint: str, root: str) -> list[tuple[str, int]]:
    """(path, bytes) of the files of a commit, which never change."""
    entries = _file_system(endpoint).find(root, detail=True)
    return [(name.removeprefix(f"{root}/"), int(info["size"])) for name, info in entries.items()]
