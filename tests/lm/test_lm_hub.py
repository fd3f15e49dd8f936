"""What the Hub may answer, played by a server on this machine: real requests through the real client library."""

import json
import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants
from tiny_models import spec

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """A gated, a missing, a broken and one good repository."""

    folder = None

    def do_GET(self):
        path = self.path.partition("?")[0]
        if "/gated/" in path:
            self.answer(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif "/broken/" in path:
            self.answer(500, b"")
        elif "/fine/" not in path:
            self.answer(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif "unknown-branch" in path:
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        else:
            self.fine(path)

    do_HEAD = do_GET

    def fine(self, path):
        files = sorted(f for f in self.folder.iterdir() if f.is_file())
        if "/tree/" in path:
            entries = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
            self.answer(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/api/"):
            self.answer(200, json.dumps({"id": "fine/model", "sha": COMMIT, "siblings": []}).encode())
        else:
            file = self.folder / path.rpartition("/")[2]
            self.answer(200, file.read_bytes(), {"ETag": f'"{file.name}"', "X-Repo-Commit": COMMIT})

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(folder_of):
    Hub.folder = folder_of("llama")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def reach(monkeypatch, tmp_path):
    """Points the client library at an address, as HF_ENDPOINT and HF_HOME would at its import."""

    def point(endpoint, offline=False):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)

    return point


NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("model", "revision", "says"),
    [
        ("gated/model", None, "Access to 'gated/model' is restricted"),
        ("nobody/nothing", None, "neither a folder here nor a repository"),
        ("fine/model", "unknown-branch", "has no revision 'unknown-branch'"),
        ("broken/model", None, "the Hub could not be reached"),
    ],
)
def test_each_refusal_is_one_message(server, reach, model, revision, says):
    reach(server)
    with pytest.raises(ModelError, match=f"{says}(.|\n)*next:"):
        load(replace(spec(model), revision=revision), "cpu")


def test_a_hub_that_cannot_be_reached_is_one_message(reach):
    reach(NOWHERE)
    with pytest.raises(ModelError, match=f"could not be reached(.|\n)*{NOWHERE}(.|\n)*found:.*Connect"):
        load(spec("fine/model"), "cpu")


def test_a_repository_is_known_by_its_commit_and_found_again_without_the_hub(server, reach):
    reach(server)
    identity = {"repository": "fine/model", "commit": COMMIT}
    assert load(spec("fine/model"), "cpu").info.fingerprint()["model"] == identity
    for offline in (False, True):
        reach(NOWHERE, offline)
        assert load(spec("fine/model"), "cpu").info.fingerprint()["model"] == identity


def test_offline_mode_is_respected_and_named(server, reach):
    reach(server, offline=True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set(.|\n)*unset HF_HUB_OFFLINE"):
        read_info(spec("fine/model"))


def test_reading_facts_fetches_no_weights(server, reach, tmp_path, monkeypatch, folder_of):
    reach(server)
    assert read_info(spec("fine/model")).n_layers == 3
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
    bare = tmp_path / "bare"
    shutil.copytree(folder_of("llama"), bare, ignore=shutil.ignore_patterns("tokenizer*"))
    monkeypatch.setattr(Hub, "folder", bare)
    with pytest.raises(ModelError, match="without a tokenizer"):
        load(spec("fine/other"), "cpu")
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
