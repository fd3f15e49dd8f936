"""An S3 server of its own process, and a proxy in front of it that fails as real ones do."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.free_port import free_port

BUCKET = "bucket"
_SERVER = "import sys; from moto.server import main; main(sys.argv[1:])"


class ObjectServer:
    """moto's S3 server on a free port; a context manager. Keeps what it holds in its memory."""

    def __enter__(self) -> ObjectServer:
        self.port = free_port()
        words = ["-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait()
        self.make_bucket(BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("moto's server did not start")

    def make_bucket(self, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("PUT", f"/{name}")
        assert connection.getresponse().status == 200
        connection.close()


def environment(port: int) -> dict[str, str]:
    """What tells a program that S3 is the server at a port."""
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    return {**os.environ, **keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


Fault = Callable[[str, str], str | None]
"""(method, path) -> "500": answer that, the request is not passed on; "cut": pass half of the body on and hang up;
"deaf": pass it on and hang up without the answer; None: no fault."""


class FaultyProxy:
    """Passes requests on to a server, but for those that `fault` names; a context manager."""

    def __init__(self, port: int, fault: Fault) -> None:
        self.fault, self.faults = fault, 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kind = proxy.fault(self.command, self.path)
                proxy.faults += kind is not None
                if kind == "500":
                    self.send_response(500)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif kind == "cut":
                    _send_half(port, self.command, self.path, dict(self.headers), body)
                    self._hang_up()
                else:
                    self._forward(body, answer=kind is None)

            def _forward(self, body: bytes, answer: bool) -> None:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                data = response.read()
                if not answer:
                    self._hang_up()
                    return
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(data)
                connection.close()

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _send_half(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    """A request whose body ends halfway, as when its sender dies."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port)) as plug:
        plug.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body[: len(body) // 2])
