"""HTTP on the loopback address: which requests are answered at all, and the headers of every answer.

Owns the protocol: GET alone, and only for the names that this machine has for itself, so that a page from elsewhere
whose name was made to point here (DNS rebinding) reads nothing. Knows no store and no page.
"""

from __future__ import annotations

import os
import shutil
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lit_experiments.serving.answers import FILES, PAGES, Answer, FileAnswer, Refused
from lit_experiments.serving.site import Site

HOST = "127.0.0.1"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Server(ThreadingHTTPServer):
    """Answers each request in a thread of its own. Raises OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, site: Site, port: int) -> None:
        """port: 0 takes any free one."""
        super().__init__((HOST, port), _Handler)
        self.site = site
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "lit-experiments"
    sys_version = ""
    timeout = 30.0  # seconds that a browser has to say what it wants

    def do_GET(self) -> None:
        """Answers, or says why not."""
        try:
            self._send(self._answer())
        except Refused as refusal:
            self._send(self.server.site.refusal(refusal))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the browser has gone on to another page
        except Exception:
            message = "This page could not be made; the terminal in which `serve` runs shows why."
            self._send(self.server.site.refusal(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, message)))
            raise

    def _refuse_method(self) -> None:
        self._send(self.server.site.refusal(Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered here.")))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse_method

    def _answer(self) -> Answer | FileAnswer:
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"This is {self.server.url} and no other place.")
        if self.headers.get("Sec-Fetch-Site") == "cross-site" and self.headers.get("Sec-Fetch-Mode") != "navigate":
            raise Refused(HTTPStatus.FORBIDDEN, "Pages from elsewhere get nothing from here.")
        address, _, query = self.path.partition("?")
        if not address.startswith("/"):
            raise Refused(HTTPStatus.BAD_REQUEST, "The address must begin with /.")
        return self.server.site.answer(address, query)

    def _send(self, answer: Answer | FileAnswer) -> None:
        if isinstance(answer, FileAnswer):
            with answer.path.open("rb") as file:
                self._head(HTTPStatus.OK, answer.kind, os.fstat(file.fileno()).st_size, FILES)
                shutil.copyfileobj(file, self.wfile)
            return
        self._head(answer.status, answer.kind, len(answer.content), PAGES, answer.location)
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def _head(self, status: HTTPStatus, kind: str, length: int, policy: str, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", policy)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: the terminal shows what goes wrong, not what is looked at."""
