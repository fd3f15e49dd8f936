"""What the server answers and what it refuses: read-only, for this machine alone, inside of its folder."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.serving.server import Server
from lit_experiments.serving.site import Site
from tests.serving.conftest import HARM, write_rows

ROOT = Path(__file__).resolve().parents[2]


def ask(
    server: Server, address: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, str]:
    """Status, headers and content of an answer; the address goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.putrequest(method, address, skip_host=headers is not None)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode("utf-8", "replace")


def page(server: Server, name: str, **query: str | int) -> str:
    status, _, text = ask(server, f"/{name}?{urlencode(query)}")
    assert status == 200
    return text


def test_a_page_of_the_folder_is_sent_as_it_is_and_in_a_sandbox(server: Server, folder: Path) -> None:
    status, headers, text = ask(server, "/plain/linear_probes/report.html")
    assert (status, text) == (200, (folder / "plain/linear_probes/report.html").read_text())
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts")
    assert "'self'" not in headers["Content-Security-Policy"].replace("img-src 'self'", "")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "address",
    [
        "/../secret.html",
        "/plain/../../secret.html",
        "/%2e%2e/secret.html",
        "/plain/%2e%2e%2f%2e%2e%2fsecret.html",
        "/..%5csecret.html",
        "//etc/passwd.html",
        "/elsewhere.html",
        "/outside/secret.html",
        "/.hidden.html",
        "/plain/.git/config.json",
        "/plain/store/store.json/x.html",
        "/plain/weights.bin",
        "/plain/",
        "/plain/linear_probes",
        "/%00.html",
        f"/{'x' * 3000}.html",
    ],
)
def test_nothing_outside_hidden_or_of_another_kind_is_sent(server: Server, folder: Path, address: str) -> None:
    (folder.parent / "secret.html").write_text("secret")
    (folder / ".hidden.html").write_text("secret")
    (folder / "plain/weights.bin").write_text("secret")
    for name, target in (("elsewhere.html", folder.parent / "secret.html"), ("outside", folder.parent)):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    status, _, text = ask(server, address)
    assert status in (303, 404)
    assert "secret</" not in text
    assert text != "secret"


def test_a_run_that_a_link_leads_out_to_is_not_listed(server: Server, folder: Path) -> None:
    write_rows(folder.parent / "private/store", 0, 1)
    (folder / "link").symlink_to(folder.parent / "private")
    assert "link" not in ask(server, "/")[2].replace("<link", "")
    assert ask(server, "/rows?run=link")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_only_get_is_answered(server: Server, method: str) -> None:
    status, headers, _ = ask(server, "/", method)
    assert (status, headers["Allow"]) == (405, "GET")


def test_only_names_of_this_machine_are_answered(server: Server) -> None:
    port = server.server_port
    assert ask(server, "/", headers={"Host": f"localhost:{port}"})[0] == 200
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", ""):
        status, _, text = ask(server, "/rows?run=plain", headers={"Host": host})
        assert (status, "row-000" in text) == (421, False)
    assert ask(server, "/", headers={})[0] == 421
    assert server.server_address[0] == "127.0.0.1"


def test_what_pages_elsewhere_fetch_is_refused_and_a_link_is_followed(server: Server) -> None:
    headers = {"Host": f"127.0.0.1:{server.server_port}", "Sec-Fetch-Site": "cross-site"}
    assert ask(server, "/", headers={**headers, "Sec-Fetch-Mode": "no-cors"})[0] == 403
    assert ask(server, "/", headers={**headers, "Sec-Fetch-Mode": "navigate"})[0] == 200


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/rows?run=plan", 404, "There is no run 'plan' in this folder. Runs: "),
        ("/row?run=plain&row=121", 404, "There is no row 121: plain has 120 rows."),
        ("/row?run=plain&row=0", 404, "There is no row 0"),
        ("/row?run=plain&row=-1", 400, "row must be a number from 0"),
        ("/row?run=plain&row=" + "9" * 30, 400, "row must be a number from 0"),
        ("/rows?" + "&".join(f"x{i}=1" for i in range(60)), 400, "cannot be read"),
        ("/rows?run=%ff", 400, "cannot be read"),
        ("/-/../site.py", 404, "There is no such file."),
        ("rows", 400, "must begin with /"),
    ],
)
def test_a_request_without_an_answer_gets_one_message(server: Server, address: str, status: int, words: str) -> None:
    code, headers, text = ask(server, address)
    assert (code, words.replace("'", "&#x27;") in text) == (status, True)
    assert "script-src 'self'" in headers["Content-Security-Policy"]


class _Tags(HTMLParser):
    """All tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_names_ids_texts_and_columns_that_mean_harm_stay_text(server: Server) -> None:
    run = "harm'\"<i>&"
    pages = [ask(server, "/")[2], page(server, "rows", run=run), page(server, "rows", run=run, words=HARM)]
    pages += [page(server, "row", run=run, row=1, near=1, number=number) for number in ("", "none", HARM)]
    pages.append(ask(server, f"/rows?run={quote(HARM)}")[2])
    for text in pages:
        tags = _Tags(text).tags
        assert "i" not in [tag for tag, attributes in tags if not attributes.get("class")]
        assert "img" not in [tag for tag, _ in tags]
        scripts = [attributes for tag, attributes in tags if tag == "script"]
        assert all(a.get("src", "").startswith("/-/") or a.get("type") == "application/json" for a in scripts)
        assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "harmed" in pages[3]


def test_a_folder_that_is_a_run_and_one_without_runs(folder: Path, tmp_path: Path) -> None:
    site = Site(folder / "plain")
    assert b"120 rows" in site.answer("/rows", "run=plain").content  # type: ignore[union-attr]
    assert b'href="/linear_probes/report.html"' in site.answer("/rows", "run=plain").content  # type: ignore[union-attr]
    assert b"There is no run in this folder yet" in Site(tmp_path).answer("/", "").content  # type: ignore[union-attr]


def test_a_port_that_is_taken_gets_one_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(folder), "--port", str(port)]) == EXIT_USER
    message = capsys.readouterr().err
    assert message.startswith(f"error: --port {port}: 127.0.0.1:{port} cannot be had")
    assert "--port 0" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "is no folder"),
        (["--port", "70000"], "--port must lie between 0 and 65535, found 70000"),
        (["s3://bucket/runs"], "URLs are not taken here"),
    ],
)
def test_mistakes_get_one_message(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words]) == EXIT_USER
    assert message in capsys.readouterr().err


def test_the_command_prints_its_address_and_ends_with_ctrl_c(folder: Path) -> None:
    command = [sys.executable, "-m", "lit_experiments.cli", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().rpartition(": ")[2].strip()
    assert address.startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1], err) == (EXIT_DONE, "Ended.", "")
