"""Closing what earlier launches wrote on an object store, so that a writer of theirs that wakes up can add nothing.

A commit there is a put that is conditional on the head of the writer's part (heads.py). Replacing a head by one that
says `closed` makes every later commit of its writer fail. The writers of a launch have parts of known names; a head
that one of them has not made yet is made here, closed, so that it can't make it any more.
"""

from __future__ import annotations

from dataclasses import replace

from .errors import CorruptStore, NotAStore
from .heads import Head, head_path, parse_head, parts_with_heads
from .remote_files import Changed, RemoteFiles
from .store_file import read_header
from .workers import pool


def part_name(launch: str, rank: int) -> str:
    """The part of one process of a launch."""
    return f"{launch}-r{rank:03d}"


def close_launches(files: RemoteFiles, launch: str, earlier: str, writers: int) -> None:
    """Close all heads that are not of `launch`, and those that the `writers` of the launch `earlier` may still make.

    A head that can't be read is left to readers: no put of its writer would be taken either. Raises RemoteError.
    """
    try:
        identity = read_header(files).identity
    except (NotAStore, CorruptStore):
        return  # no writer starts in such a store
    if identity is None:
        return  # nor in one of version 1
    others = [part for part in parts_with_heads(files) if not (launch and part.startswith(f"{launch}-r"))]
    missing = {part_name(earlier, rank) for rank in range(writers)} - set(others)
    list(pool().map(lambda part: _close(files, part), others))
    for part in sorted(missing):
        try:
            files.put_new(head_path(part), Head(identity, part, fenced=True, closed=True).to_bytes())
        except Changed:  # made in this very moment
            _close(files, part)


def _close(files: RemoteFiles, part: str) -> None:
    """Replace a head by a closed one, whatever its writer is doing."""
    rel = head_path(part)
    while True:
        try:
            seen = files.read_tagged(rel)
            head = parse_head(seen.data, part, files.locate(rel))
        except CorruptStore:
            return
        if head.closed or not head.fenced:
            return
        try:
            files.swap(rel, replace(head, closed=True).to_bytes(), seen.tag)
        except Changed:
            continue
        return
