"""What comes over the wire from an OpenAI-compatible endpoint, and what it means: replies, failures, wishes to wait.

Knows nothing of keys: bodies come here with the key taken out.
"""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import httpx

from lit_experiments.errors import UserError

_SHOWN = 300  # characters of an endpoint's own message


class Passing(Exception):
    """A failure that may pass; `pause`: seconds that the endpoint asks to wait."""

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.pause = pause


def checked_host(base_url: str) -> str:
    """The host of an address; raises UserError for one that is none, or that holds a password."""
    try:
        parts = httpx.URL(base_url)
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.userinfo:
        raise UserError("base_url holds a user name or password; it would be stored.\nNext: name a --key_variable.")
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
        raise UserError(
            f"base_url must look like https://openrouter.ai/api/v1 (without /chat/completions), found {base_url!r}."
        )
    return parts.host


def parsed(content: str) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Passing(f"not the answer of an OpenAI-compatible endpoint: {_short(content)}")
    return answer


def message_of(content: str) -> str:
    """What an endpoint says about a failure, in few words."""
    try:
        error = parsed(content).get("error")
    except Passing:
        error = None
    message = error.get("message") if isinstance(error, dict) else error
    return _short(str(message) if message else content)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def retry_after(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
    header = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
