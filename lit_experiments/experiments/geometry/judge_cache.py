"""Replies of a judge on disk, by the content of the request: asked once, known for ever.

One file per request, named by the sha256 of endpoint, model, messages and parameters; written whole or not at all.
Holds no key: a request's content has none, and replies come here with it taken out.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from lit_experiments.plain import write_json


class ReplyCache:
    """A folder of replies. Safe to use from several threads and processes. `hits`: replies that were known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hits = 0

    @staticmethod
    def key(request: dict[str, Any]) -> str:
        """sha256 of the request as canonical JSON."""
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def get(self, request: dict[str, Any]) -> str | None:
        """The reply to a request; None when it is unknown, or its file is damaged or holds another request."""
        try:
            kept = json.loads(self._path(request).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("request") != request or not isinstance(kept.get("reply"), str):
            return None
        self.hits += 1
        return str(kept["reply"])

    def put(self, request: dict[str, Any], reply: str) -> None:
        """Keeps a reply."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(request)
        # A name of its own first: two threads may write the same reply at once.
        draft = path.with_name(f"{path.stem}-{os.getpid()}-{threading.get_ident()}.json")
        write_json(draft, {"request": request, "reply": reply})
        draft.replace(path)

    def _path(self, request: dict[str, Any]) -> Path:
        return self.folder / f"{self.key(request)}.json"
