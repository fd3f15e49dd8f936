"""A repository of the Hub as push and pull see it: its files with their hashes, and commits to it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError
from stores.hub_errors import explained
from stores.hub_files import HubAddress, HubFiles, hub_client

_MAIN = "main"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """Size in bytes and hash of a file's content: SHA-256 of a large one, Git's SHA-1 of any other."""

    size: int
    digest: str
    large: bool

    def holds(self, content: Path | bytes) -> bool:
        """Whether a file here, or bytes, are the same."""
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size != self.size:
            return False
        digest = hashlib.sha256() if self.large else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        for block in [content] if isinstance(content, bytes) else _blocks(content):
            digest.update(block)
        return digest.hexdigest() == self.digest


@dataclass(frozen=True)
class Repository:
    """A repository that is there. kind: "dataset" or "model"; commit: the one that its revision names."""

    address: HubAddress
    kind: str
    commit: str
    private: bool

    def files(self) -> dict[str, RemoteFile]:
        """Path to hash, of everything in the commit. Raises HubError."""
        from huggingface_hub.hf_api import RepoFile

        with explained(str(self.address)):
            entries = list(
                hub_client().list_repo_tree(self.address.id, recursive=True, revision=self.commit, repo_type=self.kind)
            )
        return {
            entry.path: RemoteFile(entry.lfs.size, entry.lfs.sha256, True)
            if entry.lfs
            else RemoteFile(entry.size, entry.blob_id, False)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    def read(self, path: str) -> bytes:
        """A small file of the commit. Raises HubError, and CorruptStore where it is gone."""
        return HubFiles(f"hf://{self.kind}s/{self.address.id}@{self.commit}").read(path)

    def send(self, files: dict[str, Path | bytes], message: str) -> None:
        """Commits files. What the Hub has of their content already is not sent again.

        Raises HubError, and UserError for a card that the Hub does not take.
        """
        from huggingface_hub import CommitOperationAdd

        operations = [CommitOperationAdd(rel, content) for rel, content in files.items()]
        revision = self.address.revision or _MAIN
        try:
            with _quiet_bars(), explained(str(self.address)):
                hub_client().create_commit(
                    self.address.id, operations, commit_message=message, repo_type=self.kind, revision=revision
                )
        except ValueError as error:  # of a card whose front matter it does not take
            raise UserError(f"{self.address}: {error}\nNext: --license with a name that the Hub knows") from error

    def download(self, folder: Path) -> None:
        """Fetches the commit into a folder; what an earlier call left there is gone on with. Raises HubError."""
        with _quiet_bars(), explained(str(self.address)):
            hub_client().snapshot_download(self.address.id, repo_type=self.kind, revision=self.commit, local_dir=folder)


def find(address: HubAddress, kinds: Sequence[str]) -> Repository | None:
    """The repository of an address, of whichever of these kinds it is; None where there is none.

    Raises:
        HubError: it has no such revision, or the Hub does not answer.
        UserError: there are several.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    there = []
    for kind in kinds if address.kind is None else (address.kind,):
        with explained(str(address)):
            try:
                info = hub_client().repo_info(address.id, repo_type=kind, revision=address.revision)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                continue
        there.append(Repository(address, kind, str(info.sha), bool(info.private)))
    if len(there) > 1:
        raise UserError(
            f"{address} is a dataset and a model on the Hub.\n"
            f"Next: say which: hf://datasets/{address.id} or hf://models/{address.id}"
        )
    return there[0] if there else None


def missing(address: HubAddress) -> UserError:
    """What to raise where `find` finds nothing."""
    from huggingface_hub import get_token

    who = "this account" if get_token() else "anybody without a token"
    return UserError(
        f"{address}: there is no such repository that {who} may see.\n"
        "Next: look at the name, or hf auth login (or set HF_TOKEN) for a private one"
    )


def make(address: HubAddress, kind: str, private: bool) -> Repository:
    """A new repository: private, or as its owner has new ones be. Raises HubError where this account may make none."""
    with explained(str(address)):
        hub_client().create_repo(address.id, repo_type=kind, private=private or None, exist_ok=True)
        info = hub_client().repo_info(address.id, repo_type=kind)
    return Repository(address, kind, str(info.sha), bool(info.private))


def branch(address: HubAddress, kind: str) -> Repository:
    """A new branch, from the main one, by the name of the address's revision. Raises HubError."""
    with explained(str(address)):
        hub_client().create_branch(address.id, branch=str(address.revision), repo_type=kind, exist_ok=True)
        info = hub_client().repo_info(address.id, repo_type=kind, revision=address.revision)
    return Repository(address, kind, str(info.sha), bool(info.private))


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """The client's progress bars on a terminal, and nothing where nobody looks."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
