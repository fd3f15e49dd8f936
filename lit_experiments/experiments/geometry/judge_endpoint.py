"""A language model behind an OpenAI-compatible endpoint: one prompt in, one reply out, through httpx.

Owns: the request, retries with growing pauses, the limits of time, what a refusal means for the user.
Does not know: what is asked, or what a reply says.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

from lit_experiments.errors import RunFailed, UserError
from lit_experiments.experiments.geometry.judge_cache import ReplyCache
from lit_experiments.experiments.geometry.judge_secret import Secret, find_key
from lit_experiments.experiments.geometry.judge_wire import Passing, checked_host, message_of, parsed, retry_after

MOST_BYTES = 4 << 20  # of one reply
LONGEST_PAUSE = 60.0  # seconds, unless the endpoint itself asks for more
_AGAIN = frozenset({408, 409, 425, 429, *range(500, 600)})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class EndpointSettings:
    """Where the judge is and how patient to be with it.

    base_url: up to and without `/chat/completions`; key_variable: environment variable (or line of `.env`) with the
    key; tokens: longest reply; timeout: seconds for one request; retries: further attempts after a failed one;
    backoff: seconds before the first of them, doubled each time; minutes: for everything together.
    """

    model: str
    base_url: str
    key_variable: str
    tokens: int
    timeout: float
    retries: int
    backoff: float
    minutes: float


class JudgeUnavailableError(RunFailed):
    """The judge cannot be had now: it is down, overloaded, or the time for it is over. Replies so far are kept."""


class Endpoint:
    """Asks prompts at temperature 0; known replies come from the cache. Safe to use from several threads.

    requests: HTTP requests made; stop: set from outside, it ends every wait.
    """

    def __init__(self, settings: EndpointSettings, cache: ReplyCache) -> None:
        """Looks for the key.

        Raises:
            UserError: an address that is none, or no key for an endpoint that is not on this machine.
        """
        self.settings, self.cache = settings, cache
        self.stop = threading.Event()
        self.requests = 0
        host = checked_host(settings.base_url)
        self._key: Secret | None = find_key(settings.key_variable)
        if self._key is None and host not in _LOCAL:
            raise UserError(
                f"The judge at {settings.base_url} needs a key, and {settings.key_variable} is neither in the "
                f"environment nor in a .env file.\nNext: export {settings.key_variable}=..., name another variable "
                f"with --key_variable, or do without: --judge_enabled false"
            )
        self._client = httpx.Client(timeout=settings.timeout)
        if self._key is not None:
            self._client.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        self._ends = time.monotonic() + 60 * settings.minutes

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def ask(self, prompt: str) -> str:
        """The reply to a prompt; empty when the model gave no text.

        Raises:
            JudgeUnavailableError: no reply after all retries, or no time left.
            UserError: the endpoint refuses the request (key, model, address).
        """
        request = self._request(prompt)
        known = self.cache.get(request)
        if known is not None:
            return known
        reply = self._persistently(request)
        self.cache.put(request, reply)
        return reply

    def _request(self, prompt: str) -> dict[str, Any]:
        """What the reply depends on, and what it is cached by."""
        messages = [{"role": "user", "content": prompt}]
        parameters = {"temperature": 0, "max_tokens": self.settings.tokens}
        base_url = self.settings.base_url.rstrip("/")
        return {"base_url": base_url, "model": self.settings.model, "messages": messages, "parameters": parameters}

    def _persistently(self, request: dict[str, Any]) -> str:
        for attempt in range(self.settings.retries + 1):
            self._check_time("the last request")
            try:
                return self._hidden(self._once(request))
            except Passing as failure:
                what, pause = self._hidden(str(failure)), failure.pause
            if attempt < self.settings.retries:
                self._wait(max(pause or 0.0, self._pause(request, attempt)), what)
        tries = self.settings.retries + 1
        raise JudgeUnavailableError(f"The judge at {self.settings.base_url} failed {tries} times, at last with: {what}")

    def _pause(self, request: dict[str, Any], attempt: int) -> float:
        """Exponential back-off with jitter, 50 to 100 %, from a counter: requests that failed together part."""
        digest = hashlib.blake2b(f"{ReplyCache.key(request)}/{attempt}".encode(), digest_size=4).digest()
        jitter = 0.5 + int.from_bytes(digest, "big") / 2**33
        return jitter * min(self.settings.backoff * 2.0**attempt, LONGEST_PAUSE)

    def _wait(self, seconds: float, what: str) -> None:
        if time.monotonic() + seconds > self._ends:
            raise JudgeUnavailableError(self._out_of_time(f"{what} (next attempt in {seconds:.0f} s)"))
        self.stop.wait(seconds)
        if self.stop.is_set():
            raise JudgeUnavailableError("The judge was told to stop.")

    def _check_time(self, what: str) -> None:
        if self.stop.is_set():
            raise JudgeUnavailableError("The judge was told to stop.")
        if time.monotonic() >= self._ends:
            raise JudgeUnavailableError(self._out_of_time(what))

    def _out_of_time(self, what: str) -> str:
        return f"The judge's {self.settings.minutes:g} minutes are over, after: {what}"

    def _once(self, request: dict[str, Any]) -> str:
        """One HTTP request. Raises Passing for what may pass, UserError for what will not."""
        self.requests += 1
        url = f"{request['base_url']}/chat/completions"
        body = {"model": request["model"], "messages": request["messages"], **request["parameters"]}
        try:
            with self._client.stream("POST", url, json=body) as response:
                content = self._read(response)
        except httpx.RequestError as error:
            # The original holds the request, and with it the key.
            raise Passing(f"{type(error).__name__}: {error}") from None
        if response.status_code in _AGAIN:
            raise Passing(f"HTTP {response.status_code}: {message_of(content)}", retry_after(response))
        if response.status_code != 200:
            raise self._refused(response.status_code, message_of(content))
        return self._reply(content)

    def _read(self, response: httpx.Response) -> str:
        """The body, without the key should it be in there; within the request's time.

        httpx limits each wait for bytes, not their sum.
        """
        ends = min(time.monotonic() + self.settings.timeout, self._ends)
        content = b""
        for piece in response.iter_bytes():
            content += piece
            if time.monotonic() > ends:
                raise Passing(f"the reply was not complete after {self.settings.timeout:g} s")
            if len(content) > MOST_BYTES:
                raise Passing(f"a reply of more than {MOST_BYTES >> 20} MiB")
        return self._hidden(content.decode(errors="replace"))

    def _reply(self, content: str) -> str:
        reply = parsed(content)
        error = reply.get("error")
        if isinstance(error, dict):  # OpenRouter: what failed after it had begun to answer
            code = error.get("code")
            if isinstance(code, int) and 400 <= code < 500 and code not in _AGAIN:
                raise self._refused(code, message_of(content))
            raise Passing(f"error {code}: {message_of(content)}")
        try:
            text = reply["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise Passing(f"not the answer of an OpenAI-compatible endpoint: {message_of(content)}") from None
        return text if isinstance(text, str) else ""

    def _refused(self, status: int, message: str) -> UserError:
        advice = {
            401: f"check the key in {self.settings.key_variable}",
            402: "the account behind the key has no credit left",
            403: f"check what the key in {self.settings.key_variable} may use",
            404: f"check --base_url {self.settings.base_url} and --judge_model {self.settings.model}",
        }.get(status, f"check --judge_model {self.settings.model}, or do without: --judge_enabled false")
        shown = self._hidden(message)
        return UserError(
            f"The judge at {self.settings.base_url} refuses: HTTP {status}: {shown}\n"
            f"Next: {advice}. Replies so far are kept."
        )

    def _hidden(self, text: str) -> str:
        return text if self._key is None else self._key.hide(text)
