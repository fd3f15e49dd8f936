"""What a request is answered with: a page made now, a file of the folder, another address, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

HTML = "text/html; charset=utf-8"

PAGES = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The policy of pages made here: no script but the viewer's own files. Charts compile their expressions (eval)."""
FILES = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The policy of files of the folder, whoever wrote them: their scripts run, load nothing, and read no other page."""


@dataclass(frozen=True)
class Answer:
    """Bytes made now. location: where the browser is to go instead."""

    content: bytes
    kind: str = HTML
    status: HTTPStatus = HTTPStatus.OK
    location: str = ""


@dataclass(frozen=True)
class FileAnswer:
    """A file of the folder, sent as it is."""

    path: Path
    kind: str


class Refused(Exception):
    """A request that has no answer: its status, and what the page says."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
