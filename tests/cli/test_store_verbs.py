"""`inspect`, `verify` and `export` take a store as data: nothing it names is run, and no mistake is a traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import stores
from lit_experiments.cli import store_parsers
from lit_experiments.cli.main import main
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER
from stores.export import dispatch

SCHEMA = stores.Schema(
    (stores.Field("x", ("sample", "hidden"), (None, 2), "float16", "1", ""),), (stores.Column("text", "string", ""),)
)


def make(run: Path, provenance: dict, text: str = "a") -> Path:
    """A run with a store of one row."""
    stores.create_store(run / "store", SCHEMA, {"seed": 1}, provenance, "zarr")
    with stores.PartWriter(run / "store", 0, 1, 1e9) as writer:
        rows = [{"sample_id": "s", "sample_index": 0, "text": text}]
        writer.append(stores.Records(rows, {"x": np.full((1, 2), 2.0**20, np.float32)}))
    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a module that leaves a trace when it is imported, and a configuration of it."""
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nclass C:\n    pass\n")
    package = tmp_path / "lit_experiments" / "experiments"
    package.mkdir(parents=True)
    (package / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nclass C:\n    pass\n")
    (tmp_path / "configs" / "collect").mkdir(parents=True)
    (tmp_path / "configs" / "collect" / "mine.yaml").write_text("class_path: evil.C\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "named",
    [
        "evil.C",
        "evil",
        "lit_experiments.experiments.evil.C",
        "lit_experiments.experiments.pos.os.system",
        "lit_experiments.experiments..evil.C",
        "os.system",
        ["evil", "C"],
        {"class_path": "evil.C"},
        5,
        "",
    ],
)
@pytest.mark.parametrize("verb", ["inspect", "jsonl", "npy", "compare"])
def test_no_class_that_a_store_names_is_imported(here, capsys, named, verb):
    run = make(here / "run", {"config": {"class_path": named}})
    arguments = {
        "inspect": ["inspect", str(run), "--examples", "1"],
        "jsonl": ["export", str(run), "--format", "jsonl", "--out", "out.jsonl"],
        "npy": ["export", str(run), "--format", "npy", "--out", "out"],
        "compare": ["inspect", str(run), "--compare_with", str(run)],
    }[verb]
    assert main(arguments) == EXIT_DONE
    assert not (here / "ran").exists()
    if named == "evil.C":
        assert "evil.C made it, which is not part of lit_experiments" in capsys.readouterr().out


@pytest.mark.parametrize("config", [None, [], "evil.C", {"other": 1}])
def test_a_store_that_names_no_class_is_inspected(here, config):
    assert main(["inspect", str(make(here / "run", {"config": config}))]) == EXIT_DONE


def test_a_study_of_one_s_own_is_used_where_the_user_names_it(here, capsys):
    run = make(here / "run", {"config": {"class_path": "evil.C"}})
    assert main(["inspect", str(run), "--exp", "mine"]) == EXIT_DONE
    assert (here / "ran").exists()
    other = make(here / "other", {"config": {"class_path": "evil.D"}})
    assert main(["inspect", str(other), "--exp", "mine"]) == EXIT_USER
    assert "--exp mine" in capsys.readouterr().err


def test_a_forged_store_json_over_commits_is_refused(here, capsys):
    run = make(here / "run", {})
    twin = make(here / "twin", {"config": {"class_path": "evil.C"}})
    (run / "store" / "store.json").write_bytes((twin / "store" / "store.json").read_bytes())
    assert main(["inspect", str(run)]) == EXIT_USER
    assert "store.json: is of another store" in capsys.readouterr().err
    assert main(["verify", str(run)]) == EXIT_FAILED
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["inspect", "ftp://host/run"], ["ftp://", "s3://"]),
        (["verify", "memory:/run"], ["memory://"]),
        (["inspect", "http://host/run"], ["http://"]),
        (["inspect", ""], ["RUN is empty"]),
        (["export", "run", "--format", "npy", "--out", "s3://bucket/out"], ["--out", "of this machine"]),
        (["export", "run", "--format", "npy", "--out", ""], ["--out"]),
        (["export", "run", "--format", "npy", "--out", "memory:/out"], ["memory:/out", "of this machine"]),
        (
            ["export", "run", "--format", "hdf5", "--out", "o", "--compression", "gzi"],
            ['Did you mean "gzip"?', "blosc"],
        ),
        (["export", "run", "--format", "zarr", "--out", "o", "--compression", "gzip"], ["--format zarr"]),
        (["export", "run", "--format", "hdf5", "--out", "run"], ["exists"]),
        (["export", "run", "--format", "hdf5", "--out", "link"], ["exists"]),
        (["export", "nul", "--format", "hdf5", "--out", "o"], ["NUL", "sample 's'"]),
    ],
)
def test_mistakes_are_one_message(here, capsys, arguments, parts):
    make(here / "run", {})
    make(here / "nul", {}, "a\0b")
    (here / "link").symlink_to("gone")
    before = sorted(p.name for p in here.iterdir())
    assert main(arguments) == EXIT_USER
    output = capsys.readouterr()
    assert all(part in output.err for part in parts), output.err
    assert "Traceback" not in output.err
    assert sorted(p.name for p in here.iterdir()) == before


def test_verify_of_a_store_that_lost_its_header(here, capsys):
    run = make(here / "run", {})
    (run / "store" / "store.json").unlink()
    assert main(["verify", str(run)]) == EXIT_FAILED
    assert "store.json is missing, though" in capsys.readouterr().out


def test_export_hdf5_by_the_command_line(here):
    import h5py

    run = make(here / "run", {"config": json.loads("null")})
    assert main(["export", str(run), "--format", "hdf5", "--out", "out.h5", "--compression", "none"]) == EXIT_DONE
    with h5py.File("out.h5") as file:
        assert file["x"][()].tolist() == [[2.0**20, 2.0**20]]


@pytest.mark.parametrize(
    "path", ["memory:/x", "s3:/bucket/x", "gopher://x/y", "ftp://x/y", "runs/memory:/x", "file://x"]
)
def test_no_store_is_made_under_what_looks_like_a_url(here, path):
    for attempt in (
        lambda: stores.create_store(path, SCHEMA, {}, {}, "zarr"),
        lambda: stores.create_store(Path(path), SCHEMA, {}, {}, "zarr"),
        lambda: stores.lock.exclusive(path, 0),
        lambda: stores.open_store(path),
    ):
        with pytest.raises(stores.StoreError, match="Can't use"):
            attempt()
    assert not any(p.name.endswith(":") for p in here.rglob("*"))


def test_a_url_of_a_local_folder_is_that_folder(here):
    stores.create_store(f"file://{here}/local", SCHEMA, {}, {}, "zarr")
    assert (here / "local" / "store.json").exists()
    with stores.lock.exclusive(f"file://{here}/local", 0) as held:
        assert held.held


def test_what_export_offers_is_what_the_stores_can_write() -> None:
    assert tuple(dispatch.FORMATS) == store_parsers.FORMATS
    assert store_parsers.COMPRESSIONS == dispatch.COMPRESSIONS


def test_a_server_that_is_not_there_is_said_in_one_message(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    assert main(["inspect", "s3://bucket/run"]) == EXIT_FAILED
    stderr = capsys.readouterr().err
    assert "failed: s3://bucket/run/store/store.json" in stderr
    assert "127.0.0.1:9" in stderr
    assert "Traceback" not in stderr
    assert not list(tmp_path.iterdir())
