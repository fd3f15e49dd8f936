"""What a folder is that goes to the Hub, and which of its files go: not drafts, locks, links, what was set aside, nor
what no commit of a store names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError

RUN, PROBE, DIRECTIONS = "run", "probe", "directions"
MARKS = {RUN: "store/store.json", PROBE: "probe.json", DIRECTIONS: "directions.safetensors"}
"""The file by which each kind is known, here and on the Hub."""
REPOSITORIES = {RUN: "dataset", PROBE: "model", DIRECTIONS: "model"}
CARD = "README.md"
_COPY = "copy it here (rclone copy, aws s3 sync), then push the copy"
_FETCH = {"hf": "lit-experiments pull fetches the run; what was trained on it can be pushed folder by folder"}
_ASIDE = re.compile(r".*\.old-\d+")


@dataclass(frozen=True)
class HubFolder:
    """kind: a key of MARKS. files: path in the repository to the file here."""

    kind: str
    path: Path
    files: dict[str, Path]

    @property
    def repository(self) -> str:
        """The kind of repository that it goes to."""
        return REPOSITORIES[self.kind]


def kind_of(names: Iterable[str]) -> str | None:
    """What files of these names make up; None for anything that is not ours."""
    present = set(names)
    return next((kind for kind, mark in MARKS.items() if mark in present), None)


def read_folder(path: Path) -> HubFolder:
    """A run, probe or folder of directions, and what of it goes to the Hub.

    Raises:
        UserError: it is none of these, or a run whose store lies elsewhere.
        stores.StoreError: a damaged store.
    """
    from stores.elsewhere import pointed

    elsewhere = pointed(path / "store")
    if elsewhere is not None:
        raise UserError(
            f"{path}: its store lies at {elsewhere}, and push takes folders of this machine.\n"
            f"Next: {_FETCH.get(elsewhere.partition(':')[0], _COPY)}"
        )
    kind = next((kind for kind, mark in MARKS.items() if (path / mark).is_file()), None)
    if kind is None:
        raise UserError(
            f"{path.absolute()} is no run (store/store.json), probe (probe.json) or folder of directions "
            "(directions.safetensors).\nNext: name one, e.g. runs/tempnorm; lit-experiments report lists runs"
        )
    files = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if _goes(file, path)}
    files.pop(CARD, None)  # the card is written anew
    return HubFolder(kind, path, _committed(path, files) if kind == RUN else files)


def _goes(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    if any(part.startswith(".") or part == "__pycache__" or _ASIDE.fullmatch(part) for part in parts):
        return False
    return file.suffix != ".tmp" and not file.is_symlink() and file.is_file()


def _committed(run: Path, files: dict[str, Path]) -> dict[str, Path]:
    """Without files under store/parts that no commit names: segments that a killed process left."""
    from stores import open_store
    from stores.files import open_files
    from stores.verify import orphans

    torn = orphans(open_files(run / "store"), open_store(run / "store").segments)
    return {rel: file for rel, file in files.items() if rel.removeprefix("store/") not in {rel for rel, _ in torn}}
