"""Small JSON files that carry their own checksum: any byte of them that changes is noticed. Knows no format."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from .errors import CorruptStore

_KEY = "checksum"
_ZEROS = "0" * 64
_ZEROS_AT_END = re.compile(rb"0{64}(\"\s*\}\s*)\Z")


def seal(document: dict[str, Any]) -> bytes:
    """The document as JSON with one more key at its end, `checksum`: the SHA-256 of these bytes with its digits as
    zeros.
    """
    blank = json.dumps({**document, _KEY: _ZEROS}, ensure_ascii=False, indent=1, allow_nan=False).encode()
    return _ZEROS_AT_END.sub(hashlib.sha256(blank).hexdigest().encode() + rb"\1", blank)


def parse(data: bytes, where: str) -> Any:
    """What the JSON says, its checksum not looked at. Raises CorruptStore if it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptStore(f"{where} is not JSON: {error}. Restore it from a copy; the arrays may be whole.") from None


def check(data: bytes, document: Any, where: str) -> str:
    """The checksum of a parsed document, if it holds; raises CorruptStore if not."""
    stated = document.get(_KEY) if isinstance(document, dict) else None
    if isinstance(stated, str) and len(stated) == len(_ZEROS):
        head, digits, tail = data.rpartition(stated.encode())
        if digits and hashlib.sha256(head + _ZEROS.encode() + tail).hexdigest() == stated:
            return stated
    raise CorruptStore(f"{where} fails its checksum: it was damaged or edited. Restore it from a copy.")
