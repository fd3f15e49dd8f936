"""A folder comes from the Hub: fetched beside its place, checked file by file and as what it is, and then renamed, so
that what stands in its place is whole.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import RunFailed, UserError
from lit_experiments.hub.folders import CARD, DIRECTIONS, MARKS, PROBE, RUN, kind_of
from lit_experiments.hub.repository import RemoteFile, Repository, find, missing
from stores.hub_files import KINDS, HubAddress

_NOT_OURS = (".gitattributes",)
_AGAIN = "Next: the same command again, which fetches what is missing"


@dataclass(frozen=True)
class Pulled:
    """kind: run, probe or directions. fetched: files that came; 0 where all were here. root: a run's certificate, ""
    where it has none."""

    kind: str
    commit: str
    fetched: int
    files: int
    root: str


def pull(address: HubAddress, out: Path) -> Pulled:
    """Fetches a run, probe or directions into `out`, or finds that they are there.

    Raises:
        UserError: there is no such repository, it holds nothing of ours, or `out` holds something else.
        HubError: the Hub refuses or can't be reached.
        RunFailed: what came is not what was pushed.
    """
    if address.path:
        raise UserError(f"{address} is a place within a repository.\nNext: name the repository: hf://{address.id}")
    repository = find(address, KINDS)
    if repository is None:
        raise missing(address)
    files = {path: file for path, file in repository.files().items() if path not in _NOT_OURS}
    kind = kind_of(files)
    if kind is None:
        raise UserError(
            f"{address} holds no {', '.join(f'{name} ({mark})' for name, mark in MARKS.items())}.\n"
            "Next: look at the name, or at --revision where it lies on another branch"
        )
    fetched = 0
    if not _is_here(out, files, address):
        draft = out.with_name(f".{out.name}.pull")
        _fetch(repository, files, draft)
        root = _checked(draft, kind)
        if out.exists():
            out.rmdir()
        draft.rename(out)
        fetched = len(files)
    else:
        root = _checked(out, kind)
    return Pulled(kind, repository.commit, fetched, len(files), root)


def _is_here(out: Path, files: dict[str, RemoteFile], address: HubAddress) -> bool:
    """Whether all files, but for the card, are in a folder already; False where the folder is empty or not there.

    Raises:
        UserError: it holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return False
    for path, file in sorted(files.items()):
        if path == CARD:
            continue
        here = out / path
        if not here.is_file() or not file.holds(here):
            differs = "is another" if here.exists() else "is not there"
            raise UserError(
                f"{out} holds something else than {address}: {path} {differs}. Nothing was changed.\n"
                "Next: pull into another folder with --out DIR"
            )
    return True


def _fetch(repository: Repository, files: dict[str, RemoteFile], draft: Path) -> None:
    draft.parent.mkdir(parents=True, exist_ok=True)
    repository.download(draft)
    damaged = [path for path, file in files.items() if not ((draft / path).is_file() and file.holds(draft / path))]
    for path in damaged:
        (draft / path).unlink(missing_ok=True)
    if damaged:
        raise RunFailed(
            f"{repository.address}: {len(damaged)} files did not come as they are there, {damaged[0]} among them.\n"
            f"{_AGAIN}"
        )
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    for left in draft.rglob("*"):  # of an earlier commit, whose pull was interrupted
        if left.is_file() and left.relative_to(draft).as_posix() not in files:
            left.unlink()


def _checked(folder: Path, kind: str) -> str:
    """Checks what came by its own checksums; the certificate of a run.

    Raises:
        RunFailed: it is not what it says.
        ProbeError: a damaged probe.
    """
    if kind == PROBE:
        from lit_experiments.probes.sklearn_files import sklearn_object

        sklearn_object(folder)
    if kind == DIRECTIONS:
        _open_directions(folder / MARKS[kind])
    return _certified(folder) if kind == RUN else ""


def _certified(run: Path) -> str:
    from lit_experiments.tasks.certificates import read_certified
    from stores import certify, open_store, verify

    problems = verify(run / "store")
    if problems:
        raise RunFailed(
            f"{run / 'store'} is not as it was written, {len(problems)} problems; {problems[0].path}: "
            f"{problems[0].what}.\nNext: ask who pushed it; lit-experiments verify {run} lists everything"
        )
    noted = read_certified(run)
    if noted is None or not noted.root:
        return ""
    root = certify(open_store(run / "store")).root
    if root != noted.root:
        raise RunFailed(
            f"The rows of {run} are not those of its certificate: {root} here, {noted.root} noted.\n"
            "Next: ask who pushed it"
        )
    return root


def _open_directions(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            pass
    except SafetensorError as error:
        raise RunFailed(f"{path} is damaged: {error}.\nNext: ask who pushed it") from error
