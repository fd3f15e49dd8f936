"""A real HTTP server on 127.0.0.1 that behaves as it is told to, reply by reply."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler"], None]


@dataclass
class Chat:
    """What the server is to do, and what it saw.

    script: one behaviour per request, the last one stays; over: set when the server closes.
    """

    script: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]


class Handler(BaseHTTPRequestHandler):
    chat: Chat
    lock: threading.Lock

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.chat.bodies.append({**body, "path": self.path})
            self.chat.headers.append(dict(self.headers))
            script = self.chat.script
            behave = script.pop(0) if len(script) > 1 else script[0]
        behave(self)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def says(text: str | None) -> Reply:
    content = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
    return lambda handler: handler.send(200, content)


def fails(status: int, message: str = "no", **headers: str) -> Reply:
    content = json.dumps({"error": {"code": status, "message": message}}).encode()
    return lambda handler: handler.send(status, content, **headers)


def fails_inside(code: int) -> Reply:
    """Status 200, and an error in the body: OpenRouter's way."""
    content = json.dumps({"error": {"code": code, "message": "upstream"}}).encode()
    return lambda handler: handler.send(200, content)


def sends(content: bytes) -> Reply:
    return lambda handler: handler.send(200, content)


def echoes_the_header(handler: Handler) -> None:
    content = {"error": {"message": f"bad header {handler.headers['Authorization']}"}}
    handler.send(500, json.dumps(content).encode())


def repeats_the_header(handler: Handler) -> None:
    says(f"I saw {handler.headers['Authorization']}. VERDICT: SAME")(handler)


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def stalls(handler: Handler) -> None:
    """Accepts and never says a thing."""
    handler.chat.over.wait()


def drips(handler: Handler) -> None:
    """A byte now and then, without end: each wait is short, all together are not."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while not handler.chat.over.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    except OSError:
        pass  # the client gave up, as it should


@contextmanager
def serving(*script: Reply) -> Iterator[Chat]:
    """The server for the time of a block; `url` ends where `/chat/completions` is to follow."""
    chat = Chat(list(script))
    handler = type("Bound", (Handler,), {"chat": chat, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield chat
    finally:
        chat.over.set()
        server.shutdown()
        server.server_close()
