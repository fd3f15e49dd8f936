"""A folder goes to the Hub: arrays first, and last of all the file that says that it is whole.

Each commit holds a part of the files, so an interrupted push goes on where it was: files whose content is there are
known by their hashes and not sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError
from lit_experiments.hub.folders import CARD, MARKS, RUN, HubFolder
from lit_experiments.hub.repository import RemoteFile, Repository, branch, find, make
from lit_experiments.units import byte_count
from stores.hub_errors import HubError
from stores.hub_files import HubAddress

_MOST_FILES, _MOST_BYTES = 200, 2 << 30  # of one commit
_COMMITS = re.compile(r"store/parts/[^/]+/rows-[^/]+")
_SIGNED = re.compile(r"\n<!-- written by lit-experiments: ([0-9a-f]{40}) -->\n\Z")


@dataclass(frozen=True)
class Pushed:
    """How many files and bytes were sent, how many files were there already; commit: the last one; kept_card: the card
    there was edited by hand, and stays."""

    files: int
    bytes: int
    there: int
    commit: str
    kept_card: bool


def repository_for(address: HubAddress, folder: HubFolder) -> HubAddress:
    """The address with the kind of repository that such a folder goes to.

    Raises:
        UserError: the address names another kind, or a place within a repository.
    """
    if address.path:
        raise UserError(f"{address} is a place within a repository.\nNext: name the repository: hf://{address.id}")
    if address.kind not in (None, folder.repository):
        raise UserError(
            f"{address}: a {folder.kind} goes to a {folder.repository} repository.\n"
            f"Next: hf://{folder.repository}s/{address.id}"
        )
    return HubAddress(folder.repository, address.id, address.revision, "")


def push(
    folder: HubFolder, card: str, address: HubAddress, private: bool, message: str, say: Callable[[str], None]
) -> Pushed:
    """Makes the repository if it is not there, and sends what it lacks.

    Raises:
        UserError: there is no token, a public repository where a private one was asked for, or another store there.
        HubError: the Hub refuses or can't be reached.
    """
    from huggingface_hub import get_token

    if not get_token():
        raise UserError(
            f"{address}: nobody may write to the Hub without a token.\nNext: hf auth login (or set HF_TOKEN)"
        )
    repository = _target(address, folder, private)
    there = repository.files()
    _refuse_another(folder, repository, there)
    contents: dict[str, Path | bytes] = {**folder.files}
    kept_card = CARD in there and not _is_ours(repository.read(CARD))
    if not kept_card:
        contents[CARD] = signed(card)
    new = {rel: c for rel, c in contents.items() if rel not in there or not there[rel].holds(c)}
    sent = 0
    for part in _parts(new):
        repository.send(part, message)
        sent += len(part)
        if sent < len(new):
            say(f"  {sent:,} of {len(new):,} files")
    commit = _existing(address).commit if new else repository.commit
    return Pushed(len(new), sum(_size(c) for c in new.values()), len(contents) - len(new), commit, kept_card)


def signed(card: str) -> bytes:
    """A card with a line at its end by which one is known that nobody has edited."""
    return f"{card}\n<!-- written by lit-experiments: {_digest(card)} -->\n".encode()


def listing(folder: HubFolder, card: str) -> list[str]:
    """What would go: each file with its size."""
    contents: dict[str, Path | bytes] = {**folder.files, CARD: signed(card)}
    return [f"{byte_count(_size(content)):>10}  {rel}" for rel, content in sorted(contents.items())]


def _target(address: HubAddress, folder: HubFolder, private: bool) -> Repository:
    main = HubAddress(address.kind, address.id, None, "")
    repository = find(main, (folder.repository,))
    if repository is None:
        repository = make(main, folder.repository, private)
    if private and not repository.private:
        raise UserError(
            f"{main} is there and public; --private is for new repositories. Nothing was sent.\n"
            "Next: make it private on its page, or leave out --private"
        )
    if address.revision is None:
        return repository
    try:
        return _existing(address)
    except HubError:  # no such branch yet
        return branch(address, folder.repository)


def _existing(address: HubAddress) -> Repository:
    repository = find(address, (str(address.kind),))
    if repository is None:
        raise UserError(f"{address} is gone.\nNext: the same command again, which makes it")
    return repository


def _refuse_another(folder: HubFolder, repository: Repository, there: dict[str, RemoteFile]) -> None:
    """Parts of two stores in one repository would be no store, and heads of an earlier state hide what came later."""
    mark = MARKS[RUN]
    beyond = [rel for rel in there if rel.startswith("store/") and rel not in folder.files]
    if beyond or (mark in there and not there[mark].holds(folder.files[mark])):
        raise UserError(
            f"{repository.address} holds another store than {folder.path}, or more of it. Nothing was sent.\n"
            f"Next: name another repository (or lit-experiments pull {repository.address}, which fetches that one)"
        )


def _parts(contents: dict[str, Path | bytes]) -> Iterator[dict[str, Path | bytes]]:
    """Files for one commit after the other, those last that say how much of a store there is."""
    part: dict[str, Path | bytes] = {}
    for rel in sorted(contents, key=lambda rel: (_rank(rel), rel)):
        size = sum(map(_size, part.values())) + _size(contents[rel])
        if part and (len(part) == _MOST_FILES or size > _MOST_BYTES):
            yield part
            part = {}
        part[rel] = contents[rel]
    if part:
        yield part


def _rank(rel: str) -> int:
    if rel in (*MARKS.values(), "ended.json"):
        return 3
    if rel.startswith("store/heads/"):
        return 2
    return 1 if _COMMITS.fullmatch(rel) else 0


def _is_ours(card: bytes) -> bool:
    text = card.decode("utf-8", "replace")
    match = _SIGNED.search(text)
    return match is not None and _digest(text[: match.start()]) == match[1]


def _digest(card: str) -> str:
    import hashlib

    return hashlib.sha1(card.encode(), usedforsecurity=False).hexdigest()


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
