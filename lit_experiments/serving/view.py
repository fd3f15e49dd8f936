"""What an address of the viewer asks for: which row of which run, coloured by what."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from lit_experiments.serving.answers import Refused

ROWS, ROW = "/rows", "/row"
_MOST_FIELDS = 32


@dataclass(frozen=True)
class View:
    """run: its name; row: of the viewer, from 1; start, words: of the list. strip, number, layer: what is coloured by
    what, at which layer; field, at: of the search for the nearest rows, which is made where near is "1"."""

    run: str = ""
    row: int = 0
    start: int = 0
    words: str = ""
    strip: str = ""
    number: str = ""
    layer: str = ""
    field: str = ""
    at: str = ""
    near: str = ""

    def address(self, page: str, **changes: Any) -> str:
        """Of a page like this one; what is empty is left out."""
        shown = asdict(replace(self, **changes))
        return f"{page}?{urlencode({key: value for key, value in shown.items() if value not in ('', 0)})}"


def view_of(query: str) -> View:
    """Raises Refused for what no address of the viewer holds."""
    try:
        pairs = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The part of the address behind the ? cannot be read.") from error
    known = {field.name: pairs[field.name] for field in fields(View) if field.name in pairs}
    numbers = {name: _number(name, known.pop(name)) for name in ("row", "start") if name in known}
    return View(**known, **numbers)  # type: ignore[arg-type]


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} must be a number from 0, found {text!r:.40}.")
    return int(text)
