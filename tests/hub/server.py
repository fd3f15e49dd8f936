"""A stand-in for the Hub: its HTTP interface, as huggingface_hub speaks to it, in a process of its own.

Repositories with commits, branches, large files by the LFS protocol, ranges, tokens, and the check of cards. What it
holds is in its memory. `/_log` lists the requests answered since it was last asked, `/_hold` makes it sit on uploads
from a count on, `/_hold_files` on files that are asked for.

    python -m tests.hub.server PORT
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: one that may write to repositories of `user`, one that may read them."""
_REPO = r"/(?P<kind>datasets/|models/)?(?P<id>[\w.-]+/[\w.-]+)"
_LARGE = (".safetensors", ".parquet", ".npy", ".h5")
_LICENSES = {"mit", "apache-2.0", "cc-by-4.0", "cc0-1.0", "other", "unknown"}
_SIZE = re.compile(r"n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|10M<n<100M|100M<n<1B|n>1T")


@dataclass
class Blob:
    data: bytes
    large: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git(self):
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def etag(self):
        return self.sha256 if self.large else self.git


@dataclass
class Repo:
    """branches: name to commit; commits: id to (message, path to Blob)."""

    private: bool
    branches: dict = field(default_factory=dict)
    commits: dict = field(default_factory=dict)

    def commit(self, branch, message, files):
        sha = hashlib.sha1(f"{len(self.commits)}{message}{sorted(files)}".encode()).hexdigest()
        self.commits[sha] = (message, files)
        self.branches[branch] = sha
        return sha

    def resolve(self, revision):
        return self.branches.get(revision, revision if revision in self.commits else None)


class Hub:
    def __init__(self):
        self.lock = threading.RLock()
        self.repos, self.large, self.log = {}, {}, []
        self.hold_from, self.puts = None, 0
        self.hold_files, self.gets = None, 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = Hub()

    def handle_one(self):
        self.path_only = unquote(urlsplit(self.path).path)
        self.body = self._read_body()
        if self.path_only.startswith("/_"):
            return self._control()
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        for (method, pattern), answer in ROUTES.items():
            match = re.fullmatch(pattern, self.path_only)
            if match and (self.command == method or (self.command, method) == ("HEAD", "GET")):
                with self.hub.lock:
                    return answer(self, **match.groupdict())
        return self._answer(404, {"error": "no such route"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def _read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _control(self):
        if self.path_only == "/_log":
            with self.hub.lock:  # taken in one go: what is answered meanwhile is in the next answer, not lost
                entries, self.hub.log = self.hub.log, []
            return self._send(200, json.dumps(entries).encode())
        if self.path_only == "/_reset":
            type(self).hub = Hub()
        elif self.path_only == "/_hold":
            self.hub.hold_from, self.hub.puts = json.loads(self.body), 0
        elif self.path_only == "/_hold_files":
            self.hub.hold_files, self.hub.gets = json.loads(self.body), 0
        elif self.path_only == "/_damage":  # a file of the last commit is not what its hash says
            repo, path = json.loads(self.body)
            blob = self.hub.repos[repo].commits[self.hub.repos[repo].branches["main"]][1][path]
            blob.data = bytes([blob.data[0] ^ 1]) + blob.data[1:]
        return self._send(200, b"{}")

    def _send(self, status, data, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _answer(self, status, content, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = {} if isinstance(content, bytes) else {"Content-Type": "application/json"}
        sent = 0 if self.command == "HEAD" else len(data)
        self.hub.log.append([self.command, self.path_only, status, len(self.body), sent])
        self._send(status, data, {**kind, **dict(headers)})

    def _fail(self, status, code, message):
        self._answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def _repo(self, kind, id):
        """A repository that the token may see; answers and returns None otherwise."""
        repo = self.hub.repos.get(f"{kind or 'models/'}{id}")
        if repo is None or (repo.private and self.token not in (WRITER, READER)):
            self._fail(404 if self.token else 401, "RepoNotFound", "Repository not found")
            return None
        return repo

    def _may_write(self, owner):
        if self.token == WRITER and owner == "user":
            return True
        if self.token is None:
            self._fail(401, "", "Invalid username or password.")
        else:
            self._fail(403, "", "Forbidden: pass a token with write access")
        return False

    def _files(self, repo, revision):
        sha = repo.resolve(revision)
        if sha is None:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None, None
        return sha, repo.commits[sha][1]

    def create(self):
        request = json.loads(self.body)
        owner, kind = request["organization"] or "user", request.get("type") or "model"
        if not self._may_write(owner):
            return
        key = f"{kind}s/{owner}/{request['name']}"
        if key in self.hub.repos:
            self._answer(409, {"error": "You already created this repo"})
            return
        repo = Repo(request.get("visibility") == "private" or bool(request.get("private")))
        repo.commit("main", "initial commit", {".gitattributes": Blob(b"*.safetensors filter=lfs\n", False)})
        self.hub.repos[key] = repo
        prefix = "" if kind == "model" else f"{kind}s/"
        self._answer(200, {"url": f"{self._here()}/{prefix}{owner}/{request['name']}"})

    def _here(self):
        return f"http://{self.headers['Host']}"

    def info(self, kind, id, revision=None):
        repo = self._repo(kind, id)
        if repo is None:
            return
        sha, files = self._files(repo, revision or "main")
        if sha is not None:
            siblings = [{"rfilename": path} for path in files]
            self._answer(200, {"id": id, "sha": sha, "private": repo.private, "siblings": siblings})

    def tree(self, kind, id, revision, path=None):
        repo = self._repo(kind, id)
        sha, files = self._files(repo, revision) if repo is not None else (None, None)
        if sha is None:
            return
        below = f"{path}/" if path else ""
        chosen = {p: blob for p, blob in sorted(files.items()) if p.startswith(below)}
        if not chosen and path:
            self._fail(404, "EntryNotFound", f"{path} does not exist")
            return
        deep = "recursive=true" in self.path.lower()
        folders = {"/".join(p.split("/")[:n]) for p in chosen for n in range(1, p.count("/") + 1)}
        entries = [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)]
        entries += [_entry(p, blob) for p, blob in chosen.items()]
        shown = [e for e in entries if e["path"].startswith(below) and (deep or "/" not in e["path"][len(below) :])]
        self._answer(200, shown)

    def preupload(self, kind, id, revision):
        repo = self._repo(kind, id)
        if repo is None or not self._may_write(id.split("/")[0]):
            return
        sha, files = self._files(repo, revision)
        if sha is None:
            return
        answers = []
        for file in json.loads(self.body)["files"]:
            path, there = file["path"], files.get(file["path"])
            large = path.endswith(_LARGE) or b"\0" in base64.b64decode(file["sample"])
            answer = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            answers.append({**answer, "oid": there.etag} if there else answer)
        self._answer(200, {"files": answers})

    def batch(self, kind, id):
        if self._repo(kind, id) is None or not self._may_write(id.split("/")[0]):
            return
        objects = []
        for item in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self._here()}/lfs/{item['oid']}"}}
            objects.append(item if item["oid"] in self.hub.large else {**item, "actions": upload})
        self._answer(200, {"transfer": "basic", "objects": objects})

    def put(self, oid):
        self.hub.puts += 1
        if self.hub.hold_from is not None and self.hub.puts > self.hub.hold_from:
            self._hold()
            return
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._answer(400, {"error": "the content has another hash"})
            return
        self.hub.large[oid] = self.body
        self._answer(200, b"")

    def _hold(self):
        hub = self.hub  # another one takes its place meanwhile, whose lock is none of this request's
        hub.log.append(["HELD", self.path_only, 0, len(self.body), 0])
        hub.lock.release()
        try:
            time.sleep(30)
        finally:
            hub.lock.acquire()

    def commit(self, kind, id, revision):
        repo = self._repo(kind, id)
        if repo is None or not self._may_write(id.split("/")[0]):
            return
        sha, files = self._files(repo, revision)
        if sha is None:
            return
        lines = [json.loads(line) for line in self.body.splitlines()]
        changed, summary = dict(files), lines[0]["value"]["summary"]
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                changed[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                changed[value["path"]] = Blob(self.hub.large[value["oid"]], True)
            else:
                raise AssertionError(line["key"])
        made = repo.commit(revision, summary, changed)
        self._answer(200, {"commitUrl": f"{self._here()}/{kind}{id}/commit/{made}", "commitOid": made})

    def branch(self, kind, id, revision):
        repo = self._repo(kind, id)
        if repo is None or not self._may_write(id.split("/")[0]):
            return
        if revision in repo.branches:
            self._fail(409, "", "Reference already exists")
            return
        repo.branches[revision] = repo.branches["main"]
        self._answer(200, {})

    def file(self, kind, id, revision, path):
        repo = self._repo(kind, id)
        sha, files = self._files(repo, revision) if repo is not None else (None, None)
        if sha is None:
            return
        if path not in files:
            self._fail(404, "EntryNotFound", "Entry not found")
            return
        self.hub.gets += self.command == "GET"
        if self.hub.hold_files is not None and self.hub.gets > self.hub.hold_files:
            self._hold()
            return
        blob = files[path]
        data, status, headers = blob.data, 200, {"ETag": f'"{blob.etag}"', "X-Repo-Commit": sha}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span:
            end = int(span[2]) + 1 if span[2] else len(data)
            headers["Content-Range"] = f"bytes {span[1]}-{end - 1}/{len(data)}"
            data, status = data[int(span[1]) : end], 206
        self._answer(status, data, {**headers, "Content-Length": str(len(data)), "Accept-Ranges": "bytes"})

    def check_card(self):
        """As the Hub does: front matter that is YAML, with values that it knows."""
        request = json.loads(self.body)
        match = re.match(r"---\n(.*?)\n---\n", request["content"], re.DOTALL)
        errors, meta = [], yaml.safe_load(match[1]) if match else None
        if not isinstance(meta, dict):
            errors.append("there is no front matter")
        else:
            if meta.get("license", "mit") not in _LICENSES:
                errors.append(f'"license" must be one of {sorted(_LICENSES)}')
            if not all(isinstance(tag, str) for tag in meta.get("tags", [])):
                errors.append('"tags" must be strings')
            if any(not _SIZE.fullmatch(size) for size in meta.get("size_categories", [])):
                errors.append('"size_categories" is none of the known ones')
            if request["repoType"] == "model" and "size_categories" in meta:
                errors.append('"size_categories" is for datasets')
        content = {"warnings": [], "errors": [{"message": message} for message in errors]}
        self._answer(400 if errors else 200, content)

    def log_message(self, *_):
        pass


def _entry(path, blob):
    entry = {"type": "file", "path": path, "size": len(blob.data), "oid": blob.git}
    large = {"lfs": {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 130}}
    return {**entry, **large} if blob.large else entry


ROUTES = {
    ("POST", "/api/repos/create"): Handler.create,
    ("POST", "/api/validate-yaml"): Handler.check_card,
    ("POST", rf"/api{_REPO}/preupload/(?P<revision>.+)"): Handler.preupload,
    ("POST", rf"/api{_REPO}/commit/(?P<revision>.+)"): Handler.commit,
    ("POST", rf"/api{_REPO}/branch/(?P<revision>.+)"): Handler.branch,
    ("POST", rf"{_REPO}\.git/info/lfs/objects/batch"): Handler.batch,
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})"): Handler.put,
    ("GET", rf"/api{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"): Handler.tree,
    ("GET", rf"/api{_REPO}(?:/revision/(?P<revision>.+))?"): Handler.info,
    ("GET", rf"{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): Handler.file,
}


def control(port, what, content=None):
    """Asks the stand-in on a port for its log, or to begin anew, hold uploads, or damage a file."""
    body = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_{what}", body, timeout=20) as answer:
        return json.load(answer)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
