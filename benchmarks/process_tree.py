"""Finds a command's processes in /proc: by descent, and by a mark in their environment, which orphans keep too."""

from __future__ import annotations

import os
from pathlib import Path

MARK = "KILL_POINTS_FOLDER"  # in the environment of every process that is started for a folder, and of no other
_MEMBERS = ".members"  # next to the folder: a file for every process whose environment /proc does not show


def family(pid: int, folder: Path) -> set[int]:
    """The process, what it started, and what that started, whoever their parent is by now."""
    parents = {child: int(_stat(child)[1]) for child in _processes()}
    members, size = {pid}, 0
    while size < len(members):
        size = len(members)
        members |= {child for child, parent in parents.items() if parent in members}
    return members | marked(folder)


def marked(folder: Path) -> set[int]:
    """All running processes that were started for a folder."""
    mark = f"{MARK}={folder}".encode()
    members = {pid for pid in _processes() if mark in _environment(pid)} | set(_enlisted(folder))
    return {pid for pid in members if is_running(pid)}


def enlist(folder: str, rank: str | None) -> None:
    """Says that this process, which was forked, was started for a folder. rank: among the workers of a command."""
    members = Path(folder + _MEMBERS)
    members.mkdir(exist_ok=True)
    (members / str(os.getpid())).write_text("" if rank is None else f"rank {rank}")


def _enlisted(folder: Path) -> dict[int, str]:
    """Process id -> "rank N", or nothing for one that is no worker."""
    files = Path(f"{folder}{_MEMBERS}").glob("*")
    return {int(file.name): file.read_text() for file in files}


def workers(folder: Path) -> dict[str, int]:
    """Process ids of the workers that a command has started itself, by "rank N"."""
    environments = {pid: _environment(pid) for pid in marked(folder)}
    supervised = {pid: env for pid, env in environments.items() if b"LIT_SUPERVISED=1" in env}
    by_rank: dict[str, int] = {}
    for pid, env in supervised.items():
        by_rank[f"rank {next((word[5:].decode() for word in env if word.startswith(b'RANK=')), '?')}"] = pid
    by_rank |= {rank: pid for pid, rank in _enlisted(folder).items() if rank and is_running(pid)}
    return by_rank


def is_running(pid: int) -> bool:
    """False for one that has ended, waited for or not."""
    return _stat(pid)[0] not in ("Z", "X")


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for a signal; before that it is still the interpreter that starts."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)


def send(pid: int, number: int) -> None:
    """Sends a signal; one of a group may have followed another already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _processes() -> list[int]:
    numbers = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [number for number in numbers if number != os.getpid()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """State, parent, ... of a process; those of one that has ended where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X", "0"]
