"""A store that lies elsewhere than the run's folder that it belongs to: a plain file in the place of the store's folder
names its URL. Knows no format of a store."""

from __future__ import annotations

import json
import os
from pathlib import Path

FORMAT = "lit-experiments-elsewhere"
_MOST_BYTES = 4096


def point(path: Path, url: str) -> None:
    """Let `path`, where there is nothing or another such file, stand for the store at a URL."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps({"format": FORMAT, "url": url}) + "\n", encoding="utf-8")
    draft.replace(path)


def pointed(path: Path) -> str | None:
    """The URL that `path` stands for; None where it is anything else."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        content = json.loads(path.read_bytes())
        return str(content["url"]) if content["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
