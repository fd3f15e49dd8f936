"""A run whose folder is a URL: its store is read and written there; its small files (configuration, results, pages) lie
in a working copy on this machine, fetched before a command and sent back after it.

The working copy of s3://bucket/x is runs/s3/bucket/x. That of a run on the Hub, which can only be read, is
runs/hf/OWNER/NAME: what is missing there is fetched, and what a command makes stays there. In a working copy, the file
`store` stands for the store (elsewhere.py of stores), so whatever reads a run's folder reads this one. Does not know:
what the files are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lit_experiments.cli.places import local_folder
from lit_experiments.errors import UserError
from lit_experiments.launch import is_main, is_worker

if TYPE_CHECKING:  # loaded when they are needed: help has to be quick
    from stores.remote_files import RemoteFiles

_STORE = "store"
_INDEX = ".elsewhere.json"
_CARED_FOR = "LIT_WORKING_COPY"  # set where a process above this one fetches and sends


def run_place(option: str, text: str) -> Path:
    """The folder of a run that an option names; of a run at a URL, that of its working copy.

    Raises:
        UserError: it can be no folder, or a URL that is no place for a run.
    """
    if "://" not in text or text.startswith("file:"):
        return local_folder(option, text)
    if text.startswith("hf:"):
        return local_folder(option, str(Path("runs", "hf", *_hub_name(option, text).split("/"))))
    if text.startswith("memory:"):
        raise UserError(
            f"{option} {text}: what a URL with memory:// names ends with the process.\nNext: a folder, or s3://BUCKET/RUN"
        )
    from stores.errors import StoreError
    from stores.remote_files import RemoteFiles

    try:
        url = RemoteFiles(text).url
    except StoreError as error:
        raise UserError(f"{option} {text}: {error}") from error
    scheme, _, place = url.partition("://")
    if "/" not in place:
        raise UserError(f"{option} {text} names a whole bucket.\nNext: {url}/RUN")
    return local_folder(option, str(Path("runs", scheme, *place.split("/"))))


@contextmanager
def working_copy(run: Path, text: str | None) -> Iterator[None]:
    """Fetches the small files of a run before the block, and sends those that it changed back after it, however it
    ends. text: what named the run. Does nothing for a run that is on this machine.

    Raises:
        UserError: a file was changed there and here.
        RemoteError: the server failed.
    """
    url = _url_of(run, text)
    if url is None:
        yield
        return
    if url.startswith("hf:"):
        if is_main():
            _fetch_from_hub(url, run)
        yield
        return
    # The first process does it; one on another machine needs the store alone.
    if _CARED_FOR in os.environ or (is_worker() and not is_main()):
        _ensure_pointer(run, url)
        yield
        return
    from stores.remote_files import RemoteFiles

    copy = _Copy(RemoteFiles(url), run)
    copy.fetch()
    _ensure_pointer(run, url)
    try:
        yield
    finally:
        copy.send()


@contextmanager
def working_copies(base: Path, url: str | None, folders: Iterable[str]) -> Iterator[None]:
    """Working copies of several runs for a block that starts commands on them.

    Args:
        base: the working copy of the run at `url`; None does nothing.
        folders: `base` and folders next to it whose names begin with its name; theirs are URLs that begin with `url`.
    """
    with ExitStack() as stack:
        for folder in sorted(set(folders)) if url is not None else ():
            stack.enter_context(working_copy(Path(folder), f"{url}{folder.removeprefix(str(base))}"))
            stack.callback(os.environ.pop, _CARED_FOR, None)
        if url is not None:
            os.environ[_CARED_FOR] = "1"
        yield


def is_elsewhere(run: Path, text: str | None) -> bool:
    """Whether a run lies on object storage or on the Hub. text: what named it."""
    return _url_of(run, text) is not None


def is_on_hub(run: Path, text: str | None) -> bool:
    """Whether a run lies on the Hub, and can only be read. text: what named it."""
    return (_url_of(run, text) or "").startswith("hf:")


def _hub_name(option: str, text: str) -> str:
    """OWNER/NAME, with the revision where one is named. Raises UserError."""
    from stores.errors import StoreError
    from stores.hub_files import HubAddress

    try:
        address = HubAddress.parse(text)
    except StoreError as error:
        raise UserError(f"{option} {text}: {error}") from error
    if address.kind == "model" or address.path:
        raise UserError(f"{option} {text}: a run is a whole dataset repository.\nNext: hf://datasets/{address.id}")
    return str(HubAddress(None, address.id, address.revision, "")).removeprefix("hf://")


def _fetch_from_hub(url: str, run: Path) -> None:
    """The small files that are not here yet. Raises UserError where there is no run, HubError."""
    from stores.hub_files import HubFiles

    there = HubFiles(url)
    if not there.holds_run():
        raise UserError(f"{url} holds no run: store/store.json is missing.\nNext: look at the name, or at its branches")
    for rel, _ in there.walk(""):
        if rel.startswith("store/") or rel in (".gitattributes", "README.md") or (run / rel).exists():
            continue
        (run / rel).parent.mkdir(parents=True, exist_ok=True)
        draft = (run / rel).with_name(f"{Path(rel).name}.tmp")
        draft.write_bytes(there.read(rel))
        draft.replace(run / rel)
    _ensure_pointer(run, url)


def _url_of(run: Path, text: str | None) -> str | None:
    """Where a run lies, if its folder is a working copy."""
    from stores.elsewhere import pointed
    from stores.remote_files import SCHEMES, RemoteFiles

    if text is not None and text.startswith("hf://"):
        return f"hf://datasets/{_hub_name('--run', text)}"
    if text is not None and text.partition("://")[0] in SCHEMES and "://" in text:
        return RemoteFiles(text).url
    store = pointed(run / _STORE)
    return None if store is None else store.rpartition("/")[0]


def _ensure_pointer(run: Path, url: str) -> None:
    from stores.elsewhere import point, pointed

    run.mkdir(parents=True, exist_ok=True)
    store = run / _STORE
    if store.exists() and pointed(store) != f"{url}/{_STORE}":
        raise UserError(f"{store.absolute()} is in the way of the working copy of {url}.\nNext: move it elsewhere.")
    point(store, f"{url}/{_STORE}")


@dataclass(frozen=True)
class _Known:
    """A file as both sides had it last: the server's tag, and a digest of its content."""

    tag: str
    digest: str


class _Copy:
    """The small files of one run, there and here."""

    def __init__(self, there: RemoteFiles, here: Path) -> None:
        self._there, self._here = there, here
        self._known = self._read_index()

    def fetch(self) -> None:
        """Takes over what is new there. What was changed here since it was last sent stays under another name."""
        for rel, tag in self._there.tags(but=(f"{_STORE}/", f"{_STORE}.old-")):
            path, known = self._here / rel, self._known.get(rel)
            if known is not None and known.tag == tag and path.is_file():
                continue
            seen = self._there.read_tagged(rel)
            if path.is_file() and _digest(path.read_bytes()) not in (known and known.digest, _digest(seen.data)):
                _keep_aside(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(seen.data)
            self._known[rel] = _Known(seen.tag, _digest(seen.data))
        self._write_index()

    def send(self) -> None:
        """Puts there what is new or changed here, then removes there what was moved away here."""
        files = {p.relative_to(self._here).as_posix(): p for p in sorted(self._here.rglob("*")) if _is_ours(p)}
        files.pop(_INDEX, None)
        files.pop(_STORE, None)
        try:
            for rel, path in files.items():
                self._send_one(rel, path.read_bytes())
            for rel in sorted(self._known.keys() - files.keys()):
                if self._there.tag(rel) == self._known.pop(rel).tag:
                    self._there.delete(rel)
        finally:
            self._write_index()

    def _send_one(self, rel: str, data: bytes) -> None:
        from stores.remote_files import Changed

        known, digest = self._known.get(rel), _digest(data)
        if known is not None and known.digest == digest:
            return
        try:
            put = self._there.put_new(rel, data) if known is None else self._there.swap(rel, data, known.tag)
        except Changed as error:
            raise UserError(
                f"{self._there.locate(rel)} was changed by another process while this command ran. What this one made "
                f"is in {self._here / rel}, and was not sent.\nNext: run the command again, one at a time."
            ) from error
        self._known[rel] = _Known(put, digest)

    def _read_index(self) -> dict[str, _Known]:
        path = self._here / _INDEX
        if not path.exists():
            return {}
        try:
            return {rel: _Known(*entry) for rel, entry in json.loads(path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}).\nNext: remove it; nothing is lost by that.") from error

    def _write_index(self) -> None:
        content = {rel: [known.tag, known.digest] for rel, known in sorted(self._known.items())}
        self._here.mkdir(parents=True, exist_ok=True)
        draft = self._here / f"{_INDEX}.tmp"
        draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
        draft.replace(self._here / _INDEX)


def _is_ours(path: Path) -> bool:
    """Whether a file is to be sent: all but links, and drafts of files that are written whole or not at all."""
    return path.is_file() and not path.is_symlink() and path.suffix != ".tmp"


def _digest(data: bytes) -> str:
    from stores.checksums import block_digest

    return block_digest(data)


def _keep_aside(path: Path) -> None:
    from lit_experiments.collecting.aside import set_aside

    set_aside(path)
