"""Texts that take seconds to make and are always the same, kept in the user's cache folder between commands.

An entry is named by what its text is made from, so it is never stale; one that is damaged is made again, and where the
folder cannot be written nothing is kept. Deleting the folder is always safe. Does not know: what the texts are.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_DIGEST = hashlib.sha256
_HEAD = 64  # characters: the digest of the text behind it


def cache_folder() -> Path | None:
    """$XDG_CACHE_HOME/lit-experiments, or ~/.cache/lit-experiments; None where there is no home either."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():  # others are to be ignored, says the XDG Base Directory Specification
        return Path(base) / "lit-experiments"
    try:
        return Path.home() / ".cache" / "lit-experiments"
    except RuntimeError:
        return None


def remembered(name: str, made_from: Iterable[bytes], make: Callable[[], str]) -> str:
    """A text, from the cache or made now.

    Args:
        name: of the kind of text; part of the file's name.
        made_from: everything that the text depends on, the code that makes it included.
        make: makes it.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    path = folder / f"{name}-{_named(made_from)}"
    text = _read(path)
    if text is None:
        text = make()
        _write(path, text)
    return text


def _named(parts: Iterable[bytes]) -> str:
    whole = _DIGEST()
    for part in parts:
        whole.update(_DIGEST(part).digest())  # so that no two divisions of the same bytes are one
    return whole.hexdigest()[:40]


def _read(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head, body = content[:_HEAD], content[_HEAD:]
    return body.decode("utf-8") if head == _DIGEST(body).hexdigest().encode() else None


def _write(path: Path, text: str) -> None:
    """Whole or not at all; of several writers at once the last one stays, with the same text."""
    body = text.encode("utf-8")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(_DIGEST(body).hexdigest().encode() + body)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
